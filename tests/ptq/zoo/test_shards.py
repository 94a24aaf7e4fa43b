"""Checkpoints in several files, named by an index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ptqsim.ptq.zoo.weights import read_weights

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1.5]), "c": torch.zeros(2)}
FILES = {"a": "w-1-of-2.safetensors", "b": "w-2-of-2.safetensors", "c": "w-1-of-2.safetensors"}


@pytest.fixture
def index(tmp_path: Path) -> Path:
    for name in set(FILES.values()):
        save_file({key: tensor for key, tensor in WEIGHTS.items() if FILES[key] == name}, tmp_path / name)
    path = tmp_path / "w.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": FILES}), encoding="utf-8")
    return path


def test_all_files_are_read(index: Path) -> None:
    found = read_weights(index)
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in WEIGHTS.items())


def test_a_file_that_is_missing_is_named(index: Path) -> None:
    (index.parent / "w-2-of-2.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*w-2-of-2\.safetensors"):
        read_weights(index)
    index.unlink()
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*w\.safetensors\.index\.json"):
        read_weights(index)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}', '{"weight_map": ["a"]}', "\x00"]
)
def test_what_is_no_index(index: Path, content: str) -> None:
    index.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"is no index of safetensors files .* weight_map has"):
        read_weights(index)


@pytest.mark.parametrize("names", [{**FILES, "d": "w-1-of-2.safetensors"}, {"a": FILES["a"], "b": FILES["b"]}])
def test_files_and_index_that_do_not_agree(index: Path, names: dict[str, str]) -> None:
    index.write_text(json.dumps({"weight_map": names}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"tensor '[cd]' is in .* or in its files, but not in both"):
        read_weights(index)


def test_names_lead_nowhere_but_beside_the_index(index: Path) -> None:
    index.write_text(json.dumps({"weight_map": {k: f"../../{v}" for k, v in FILES.items()}}), encoding="utf-8")
    assert read_weights(index).keys() == WEIGHTS.keys()
