"""The configuration of `make mutants` names what is there: a module that moved would silently be left out."""

from __future__ import annotations

import configparser
import tomllib
from importlib import import_module
from inspect import getsource
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.parametrize("option", ["source_paths", "only_mutate", "pytest_add_cli_args_test_selection"])
def test_paths_exist(option: str) -> None:
    configuration = configparser.ConfigParser()
    configuration.read(HERE / "setup.cfg", encoding="utf-8")
    paths = configuration["mutmut"][option].split()
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_lines_of_equivalent_mutants_exist() -> None:
    entries = tomllib.loads((HERE / "equivalent.toml").read_text(encoding="utf-8"))["equivalent"]
    for entry in entries:
        module, _, name = entry["function"].rpartition(".")
        if module.rpartition(".")[2][0].isupper():  # of a class
            module, _, owner = module.rpartition(".")
            found = getattr(getattr(import_module(module), owner), name)
        else:
            found = getattr(import_module(module), name)
        assert entry["line"] in " ".join(getsource(found).split())
