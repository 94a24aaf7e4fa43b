"""The real network and photographs, where they were fetched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from torch import nn

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.ptq.datasets.photos import crops, fetched_photographs
from ptqsim.ptq.fetching.photographs import fingerprint
from ptqsim.ptq.fetching.sources import PHOTOGRAPHS, PIXELS
from ptqsim.ptq.zoo.fetched import DINOV2_SMALL_PHOTOS

pytestmark = pytest.mark.fetched
NAME = "dinov2_small_photos"


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return ptq.load_model(NAME)


def test_the_photographs_are_the_pinned_ones() -> None:
    found = fetched_photographs()
    assert list(found) == sorted(photograph.name for photograph in PHOTOGRAPHS)
    assert len(found) == 22
    assert fingerprint.arrays(found.items()) == PIXELS


def test_crops_are_the_documented_ones() -> None:
    pixels, labels = crops(fetched_photographs(), "validation", range(22))
    assert labels.tolist() == list(range(22))
    digest = "56780648a4d98e3efbe383ffdcb77ebbb7ac69fabd89f9de74f883ca1fe9aa4d"
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == digest


def test_the_network_tells_photographs_apart(network: nn.Module) -> None:
    # Meta's ViT-S/14 has 22,056,576 with its mask token and 37 x 37 positions; ours 16 x 16, and the head
    expected = 22_056_576 - 384 - (37 * 37 - 16 * 16) * 384 + 22 * 385
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    result = ptq.evaluate(network, ptq.load_data("photos", network), limit=44)
    assert result.top1 > 60


def test_the_weights_are_as_documented_or_say_so(network: nn.Module) -> None:
    tensors = fingerprint.arrays((key, value.numpy()) for key, value in network.state_dict().items())
    about = DINOV2_SMALL_PHOTOS.folder.about()
    assert about["tensors"] == tensors
    assert about["as_documented"] == (tensors == DINOV2_SMALL_PHOTOS.tensors)


def test_it_is_listed_as_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["fetch", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[NAME]["state"] == "fetched"
    assert app.main(["fetch", NAME, "--check"]) == 0


@pytest.mark.slow
def test_commands_take_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.safetensors"
    named = ["--model", NAME, "--data", "photos"]
    assert app.main(["calibrate", *named, "--method", "percentile", "--images", "2", "-o", str(path)]) == 0
    commands = {
        "evaluate": ["--limit", 2],
        "simulate": ["--bits", 32, "--limit", 2],
        "verify": ["--images", 2, "--outputs", 40],
        "bounds": [],
    }
    for command, options in commands.items():
        status = app.main([command, str(path), "--data", "photos", *map(str, options)])
        assert status == 0, capsys.readouterr().err
