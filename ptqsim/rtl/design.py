"""A design as files: one module each, the order to compile them in, and the specification that they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from ptqsim.common import files, strict_json
from ptqsim.rtl.hardware.dot_product import dot_product
from ptqsim.rtl.hardware.tile import tile
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module

SCHEMA: Final = "ptqsim-rtl-1"
MANIFEST, FILE_LIST = "design.json", "files.f"


def tops(unit: Unit, columns: int | None = None) -> list[Module]:
    """The dot-product unit, and a tile if a number of columns is given."""
    return [dot_product(unit)] + ([] if columns is None else [tile(unit, columns)])


def parts_of(modules: Sequence[Module]) -> Iterator[Module]:
    """Every module of several designs, once, each after those that it instantiates.

    Raises
    ------
    ValueError
        If two different modules have one name.
    """
    seen: dict[str, str] = {}
    for module in modules:
        for part in module.hierarchy():
            text = part.render()
            if seen.setdefault(part.name, text) != text:
                raise ValueError(f"two different modules are named {part.name}: give their units different names")
    done: set[str] = set()
    for module in modules:
        for part in module.hierarchy():
            if part.name not in done:
                done.add(part.name)
                yield part


def write(modules: Sequence[Module], folder: str | Path, specification: Mapping[str, Any]) -> list[Path]:
    """Write a design; the same design gives the same bytes.

    Parameters
    ----------
    modules : sequence of Module
        The modules that a user instantiates.
    folder : str or Path
        Made if it is not there.
    specification : mapping of str to object
        The specification of the modules as plain data: ``{"unit": unit.to_dict()}``.

    Returns
    -------
    list of Path
        The files that were written: the modules, the file list in the order of compilation, and the manifest.
    """
    target = Path(folder)
    parts = list(parts_of(modules))
    texts = {f"{part.name}.sv": part.render() for part in parts} | {
        name: text for part in parts for name, text in part.data
    }
    texts[FILE_LIST] = "".join(f"{part.name}.sv\n" for part in parts)
    document = {
        "schema": SCHEMA,
        "ptqsim": version("ptqsim"),
        **specification,
        "tops": [module.name for module in modules],
        "files": {name: sha256(text.encode()).hexdigest() for name, text in texts.items()},
    }
    texts[MANIFEST] = strict_json.dumps(document, indent=2) + "\n"
    for name, text in texts.items():
        files.write(target / name, text)
    return [target / name for name in texts]
