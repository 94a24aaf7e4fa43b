"""Golden vectors of blocks: written, read back, and every change of them found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import golden
from ptqsim.cli.framework import app
from ptqsim.formats.blocks.named import BLOCKS

REGISTERS = ("fixed:12:-4:saturate", "fixed:9:-6:wrap:half_even", "float32", "aligned:7:2")
FILES = ("a.hex", "a_scale.hex", "b.hex", "b_scale.hex", "registers.hex", "manifest.json")


def vectors(register: pq.FixedPoint | pq.Float32 | pq.AlignedFloat32, fmt: pq.Block = pq.MXFP8) -> golden.BlockVectors:
    other = pq.MXFP4 if fmt.block == 32 else fmt
    return golden.compute_blocks(*golden.block_stimulus(fmt, other, 9, 70, 8, seed=3), register)


@pytest.mark.parametrize("register", REGISTERS)
@pytest.mark.parametrize("fmt", [pq.MXFP8, pq.NVFP4, pq.MXINT8], ids=str)
def test_written_and_read(register: str, fmt: pq.Block, tmp_path: Path) -> None:
    from ptqsim.datapath.blocks.registers import parse_register

    made = vectors(parse_register(register), fmt)
    files = golden.write_blocks(made, tmp_path, {"kind": "stimulus", "pattern": "mixed", "seed": 3})
    assert [path.name for path in files] == list(FILES)
    report = golden.check(tmp_path)
    assert report.findings == []
    assert report.blocks is not None
    assert np.array_equal(report.blocks.registers, made.registers, equal_nan=True)
    before = [path.read_bytes() for path in files]
    golden.write_blocks(made, tmp_path, {"kind": "stimulus", "pattern": "mixed", "seed": 3})
    assert [path.read_bytes() for path in files] == before


def test_a_reader_of_its_own_finds_the_registers(tmp_path: Path) -> None:
    """From the files alone: codes to reals by the format's tables, blocks summed and cut in float64."""
    register = pq.FixedPoint(30, -12)
    golden.write_blocks(vectors(register), tmp_path)
    about = json.loads((tmp_path / "manifest.json").read_text())

    def words(name: str) -> np.ndarray:  # type: ignore[type-arg]
        lines = (tmp_path / f"{name}.hex").read_text().splitlines()[1:]
        return np.array([int(line, 16) for line in lines]).reshape(about["words"][name]["shape"])

    a, b = (pq.E4M3.decode(words("a")), pq.E2M1.decode(words("b")))
    a *= 2.0 ** (words("a_scale")[..., None] - 127.0)
    b *= 2.0 ** (words("b_scale")[..., None] - 127.0)
    exact = np.einsum("ikl,jkl->ijk", a, b)
    near = (np.abs(exact) < 2.0**40).all(axis=2)  # lines with any scale are beyond float64's integers
    terms = np.floor(exact[near] * 2.0**12).astype(np.int64).cumsum(axis=-1)
    found = words("registers")
    held = (terms + 2**29) % 2**30 - 2**29
    assert near.sum() > 30
    assert np.array_equal(np.where(found >= 2**29, found - 2**30, found)[near], held)


@pytest.mark.parametrize("file", FILES)
def test_any_changed_byte_is_found(file: str, tmp_path: Path, rng: np.random.Generator) -> None:
    golden.write_blocks(vectors(pq.FixedPoint(40, -20)), tmp_path)
    path = tmp_path / file
    right = path.read_bytes()
    for position in [0, len(right) - 2, *rng.integers(0, len(right), 6).tolist()]:
        wrong = bytearray(right)
        wrong[position] ^= 1
        path.write_bytes(wrong)
        assert not golden.check(tmp_path).ok, position
    path.write_bytes(right[: len(right) // 2])
    assert not golden.check(tmp_path).ok
    path.unlink()
    if file == "manifest.json":
        with pytest.raises(ValueError, match=r"holds no manifest\.json"):
            golden.check(tmp_path)
    else:
        assert any("is missing" in str(one) for one in golden.check(tmp_path).findings)


def test_other_codes_than_those_of_the_seed_are_found(tmp_path: Path) -> None:
    golden.write_blocks(vectors(pq.Float32()), tmp_path, {"kind": "stimulus", "pattern": "mixed", "seed": 4})
    assert "are not those of pattern and seed 4" in str(golden.check(tmp_path).findings[0])


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="legal are wrap, saturate"):
        vectors(pq.FixedPoint(20, -4, "trap"))
    with pytest.raises(ValueError, match="do not fit; give the same size"):
        golden.block_stimulus(pq.MXFP4, pq.NVFP4, 2, 32, 2)


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "v")
    given = ["vectors", "--a-format", "mxfp6", "--b-format", "mxint8", "--depth", "40"]
    assert app.main([*given, "--register", "fixed:20:-9:saturate", "-o", out]) == 0
    assert app.main(["vectors", "--check", out]) == 0
    assert "0 mismatches" in capsys.readouterr().err
    (tmp_path / "v" / "registers.hex").write_text("// nothing\n")
    assert app.main(["vectors", "--check", out]) == 1
    names = f"is for blocks: give --a-format one of {', '.join(BLOCKS)}"
    for arguments, words in (
        ([*given, "--bits", "20", "--a-bits", "8"], "leave --a-bits out"),
        ([*given, "--register", "fixed:20:-9:trap"], "legal are wrap, saturate"),
        (given[:-2], "no --depth was given"),
        (["vectors", "--depth", "8", "--register", "float32"], names),
    ):
        assert app.main([*arguments, "-o", out]) == 2, arguments
        assert words in capsys.readouterr().err.replace("\n", " ")
