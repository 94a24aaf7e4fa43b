"""PyTorch checkpoints made into safetensors files."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.ptq.zoo.conversion.contents import Refusal, choose, dictionaries, renamed

Read = Callable[..., dict[str, Any]]
Weights = dict[str, torch.Tensor]


def test_tensors_keep_names_values_and_types(tmp_path: Path, read: Read, weights: Weights) -> None:
    source, output = tmp_path / "w.pth", tmp_path / "w.safetensors"
    torch.save({"state_dict": {f"module.model.{k}": v for k, v in weights.items()}, "epoch": 3}, source)
    answer = read(source, output=output)
    found = load_file(output)
    assert found.keys() == weights.keys()
    for name, tensor in weights.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert torch.equal(found[name], tensor)
    assert answer["prefixes"] == ["module.", "model."]
    assert {frozenset(names) for names in answer["shared"]} == {
        frozenset({"blocks.0.weight", "tied"}),
        frozenset({"blocks.1.weight", "slice"}),
    }
    assert answer["left_out"] == {"epoch": "int 3"}
    with safe_open(output, "pt") as file:
        about = json.loads(file.metadata()["ptqsim.convert"])
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert about == {
        "sources": [{"name": "w.pth", "sha256": digest}],
        "key": "state_dict",
        "prefixes": ["module.", "model."],
    }


def test_what_training_scripts_keep_beside_weights_is_read_and_left_out(tmp_path: Path, read: Read) -> None:
    kept = {"args": argparse.Namespace(lr=0.1, out=Path("/x")), "best": np.float64(0.5), "epoch": 3, 5: "five"}
    optimizer = {"state": {0: {"exp_avg": torch.ones(2)}}}
    torch.save({"model": {"a": torch.ones(2), "note": "x"}, "optimizer": optimizer, **kept}, tmp_path / "w.pth")
    answer = read(tmp_path / "w.pth")
    assert answer["tensors"] == {"a": ["float32", [2]]}
    assert answer["left_out"].keys() == {"model.note", "optimizer", "args", "best", "epoch", "5"}


def test_the_older_format_is_read(tmp_path: Path, read: Read, weights: Weights) -> None:
    torch.save(weights, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    read(tmp_path / "w.pth", output=tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())


def test_averaged_weights_and_keys_are_chosen(tmp_path: Path, read: Read) -> None:
    ones, twos, threes = ({"a": torch.full((2,), value)} for value in (1.0, 2.0, 3.0))
    torch.save({"model": ones, "model_ema": {"module": twos}, "teacher": threes}, tmp_path / "w.pth")
    for options, value in (
        ({}, 1.0),
        ({"ema": True}, 2.0),
        ({"key": "teacher"}, 3.0),
        ({"key": "model_ema.module"}, 2),
    ):
        read(tmp_path / "w.pth", output=tmp_path / "w.safetensors", **options)
        assert load_file(tmp_path / "w.safetensors")["a"].tolist() == [value, value]


def is_one(value: object) -> bool:
    return value == 1


@pytest.mark.parametrize(
    ("root", "key", "averaged", "chosen"),
    [
        ({"a": 1}, None, False, ""),
        ({"step": 1, "state_dict": {"a": 1}}, None, False, "state_dict"),
        ({"net": {"state_dict": {"a": 1}}}, None, False, "net.state_dict"),
        ({"weird": {"a": 1}}, None, False, "weird"),
        ({"weird": {"a": 1}, "ema": {"a": 1}}, None, False, "weird"),
        ({"weird": {"a": 1}, "ema": {"a": 1}}, None, True, "ema"),
        ({"student": {"a": 1}, "teacher": {"a": 1}}, "teacher", False, "teacher"),
    ],
)
def test_the_dictionary_that_is_taken(root: dict[str, Any], key: str | None, averaged: bool, chosen: str) -> None:
    assert choose(dictionaries(root, is_one), key, averaged) == chosen


@pytest.mark.parametrize(
    ("root", "key", "averaged", "words"),
    [
        ({"student": {"a": 1}, "teacher": {"a": 1}}, None, False, "name one of 'student', 'teacher' by --key"),
        ({"model": {"a": 1}}, None, True, "no averaged weights .* are 'model'"),
        ({"model": {"a": 1}}, "modle", False, "no dictionary of tensors under the key 'modle'; .* are 'model'"),
        ([1, 1], None, False, "holds no dictionary of tensors"),
        (1, None, False, "holds no dictionary of tensors"),
        ({"model": {"a": 2}}, None, False, "holds no dictionary of tensors"),
    ],
)
def test_dictionaries_that_nothing_tells_apart(root: object, key: str | None, averaged: bool, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        choose(dictionaries(root, is_one), key, averaged)


def test_a_dictionary_within_itself_ends() -> None:
    root: dict[str, Any] = {"a": 1}
    root["b"] = root
    assert "" in dictionaries(root, is_one)


@pytest.mark.parametrize(
    ("names", "prefix", "strip", "new", "taken"),
    [
        (["module.a", "module.b"], None, True, ["a", "b"], ["module."]),
        (["module._orig_mod.backbone.a"], None, True, ["a"], ["module.", "_orig_mod.", "backbone."]),
        (["module.a", "head.b"], None, True, ["module.a", "head.b"], []),
        (["module.a"], None, False, ["module.a"], []),
        (["module."], None, True, ["module."], []),
        (["backbone.a", "backbone.module.b", "head.c"], "backbone", True, ["a", "module.b"], ["backbone."]),
        (["encoder.module.a", "decoder.module.b"], "encoder.", True, ["a"], ["encoder.", "module."]),
    ],
)
def test_prefixes_are_taken_off_where_all_names_have_them(
    names: list[str], prefix: str | None, strip: bool, new: list[str], taken: list[str]
) -> None:
    found, removed = renamed(names, prefix, strip)
    assert (list(found.values()), removed) == (new, taken)


def test_a_prefix_that_no_name_has() -> None:
    with pytest.raises(Refusal, match=r"no tensor whose name begins with 'x\.'"):
        renamed(["a.b"], "x", True)


def test_files_of_an_index_become_one(tmp_path: Path, read: Read) -> None:
    parts = {"pytorch_model-1.bin": {"a": torch.ones(2)}, "pytorch_model-2.bin": {"b": torch.zeros(3)}}
    for name, tensors in parts.items():
        torch.save(tensors, tmp_path / name)
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}}))
    made = ptq.convert(index, tmp_path / "folder" / "w.safetensors")
    assert load_file(tmp_path / "folder" / "w.safetensors").keys() == {"a", "b"} == made.tensors.keys()
    assert [source["name"] for source in made.sources] == list(parts)
    with pytest.raises(Refusal, match="tensor 'a' in two of its files"):
        read(tmp_path / "pytorch_model-1.bin", tmp_path / "pytorch_model-1.bin")
    with pytest.raises(ValueError, match=r"index of pickles.*ptqsim convert"):
        ptq.load_model("vit_digits", checkpoint=index)
    (tmp_path / "pytorch_model-2.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"pytorch_model-2\.bin"):
        ptq.convert(index)


def test_a_converted_checkpoint_is_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line: what a trainer saved of a bundled network, and the network of the converted file."""
    torch.manual_seed(0)
    original = ptq.BUNDLED["vit_digits"].build(num_classes=5)
    state = {f"_orig_mod.{name}": tensor for name, tensor in original.state_dict().items()}
    torch.save({"model": state, "epoch": 1}, tmp_path / "w.pth")
    assert app.main(["convert", str(tmp_path / "w.pth"), "-o", str(tmp_path / "w.safetensors"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["left_out"] == {"epoch": "int 1"}
    assert told["network"] in ("namespace", "guard")
    network = ptq.load_model("vit_digits", checkpoint=tmp_path / "w.safetensors")
    assert all(torch.equal(tensor, original.state_dict()[name]) for name, tensor in network.state_dict().items())
