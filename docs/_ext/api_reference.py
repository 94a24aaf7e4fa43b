"""API reference from what the packages export: a page per topic, and by autosummary a page per name."""

from __future__ import annotations

import inspect
import shutil
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from sphinx.application import Sphinx
from sphinx.config import Config

GENERATED: Final = Path(__file__).parents[1] / "reference" / "generated"

MODULES: Final = {
    "ptqsim": "The simulator: number formats, accumulators, exact matrix products. It needs numpy, numba and scipy.",
    "ptqsim.bounds": "The accumulator width that is safe, by theorem or by observation.",
    "ptqsim.reference": "The specification of the datapath, in Python integers.",
    "ptqsim.profiles": "The arithmetic of deployed processors and libraries, by name.",
    "ptqsim.fitting": "Weights that fit a register: limits, nearest codes, compensation, certificate.",
    "ptqsim.units": "Integer units between the products: softmax, LayerNorm, activations, residual stream, rescaling.",
    "ptqsim.ptq": "Calibration, integer execution, verification and export of networks (extra `[models]`).",
    "ptqsim.rtl": "SystemVerilog of a datapath: generation, simulation, comparison (extra `[rtl]`).",
}
"""Public import paths, each with one line."""

ALSO: Final = {"ptqsim.reference": ("requantized",)}
"""Names that a module, not a package, re-exports from another one."""

TOPICS: Final = {
    "formats": "Number formats",
    "datapath": "Datapath",
    "gemm": "Matrix products",
    "errors": "Errors",
}
"""Heading for what is defined in a package of the simulator; modules that hold networks are sorted by kind."""


def exports(path: str) -> dict[str, Any]:
    """Public names of a package, and of a module those that it defines itself and its package does not export."""
    module = module_of(path)
    inner = module.__spec__.name if module.__spec__ is not None else path
    package = import_module(path.partition(".")[0])
    origin = path.partition(".")[0] if hasattr(module, "__path__") else inner
    return {
        name: value
        for name, value in vars(module).items()
        if not (name.startswith("_") or inspect.ismodule(value) or name in {"annotations", "TypeAlias"})
        and (str(getattr(value, "__module__", origin)).startswith(origin) or name in ALSO.get(path, ()))
        and (hasattr(module, "__path__") or hasattr(value, "__module__"))
        and (module is package or getattr(package, name, None) is not value)
    }


def topics(path: str, names: dict[str, Any]) -> dict[str, list[str]]:
    """The names under headings, in alphabetical order."""
    sorted_names: dict[str, list[str]] = {}
    for name in sorted(names, key=str.lower):
        value = names[name]
        room = getattr(value, "__module__", "").split(".")[1:2]
        if path == "ptqsim":
            heading = TOPICS.get(room[0] if room else "", "Further names")
        elif not callable(value):
            heading = "Constants"
        elif inspect.isclass(value):
            heading = "Classes"
        else:
            heading = "Functions"
        sorted_names.setdefault(heading, []).append(name)
    order = [*TOPICS.values(), "Further names", "Functions", "Classes", "Constants"]
    return {heading: sorted_names[heading] for heading in order if heading in sorted_names}


def page(path: str, about: str) -> str:
    """reStructuredText of the page of one module."""
    lines = [path, "=" * len(path), "", about.replace("`", "``"), "", f".. py:module:: {path}", "   :no-index:", ""]
    lines += [f".. currentmodule:: {path}", ""]
    for heading, names in topics(path, exports(path)).items():
        lines += [heading, "-" * len(heading), "", ".. autosummary::", "   :toctree: names", "   :nosignatures:", ""]
        lines += [*_indented(names), ""]
    return "\n".join(lines)


def module_of(path: str) -> ModuleType:
    """The module of a public path, which may be an attribute of its package, as `ptqsim.bounds` is."""
    parent, _, name = path.rpartition(".")
    found = getattr(import_module(parent), name, None) if parent else None
    if not isinstance(found, ModuleType):
        return import_module(path)
    sys.modules.setdefault(path, found)  # autodoc imports what it documents
    return found


def _indented(names: Iterable[str]) -> list[str]:
    return [f"   {name}" for name in names]


def generate(_app: Sphinx, _config: Config) -> None:
    """Write the pages anew, before Sphinx looks for pages."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir(parents=True)
    for path, about in MODULES.items():
        (GENERATED / f"{path}.rst").write_text(page(path, about) + "\n", encoding="utf-8")


def skip(_app: Sphinx, _kind: str, _name: str, value: Any, skipped: bool, _options: Any) -> bool | None:
    """Leave out fields of named tuples that say nothing but their number."""
    return True if skipped or (getattr(value, "__doc__", "") or "").startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", generate)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
