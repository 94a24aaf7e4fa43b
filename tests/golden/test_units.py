"""Golden vectors of units: every formulation is written, read back and recomputed; what was changed is found."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import units
from ptqsim.golden import hexfile
from ptqsim.golden.layout import signed
from ptqsim.golden.of_units import check_unit, compute_unit, rows_for, write_unit
from tests.units.cases import CASES

SOME = [
    "rescale-gelu",
    "residual",
    "layer_norm-small",
    "softmax-softmax-reciprocal",
    "tflite-softmax",
    "ita16-log2-reciprocal",
]
SMALL = units.Softmax.from_real(0.1, pq.TwinSoftmax(6, 4), 5, score_bits=8, entries=4)


def made(unit: units.Unit, folder: Path, rows: int = 12) -> Path:
    write_unit(compute_unit(unit, *rows_for(unit, rows)), folder, {"kind": "rows", "seed": 0})
    return folder


def test_names_of_inputs_and_values_differ() -> None:
    for name, unit in CASES.items():
        names = [*(one.name for one in unit.inputs), *unit.widths()]
        assert len(set(names)) == len(names), name


@pytest.mark.parametrize("kind", units.UNITS)
def test_every_unit_is_written_and_verified(kind: str, tmp_path: Path) -> None:
    unit = next(one for one in CASES.values() if one.kind == kind)
    report = check_unit(made(unit, tmp_path))
    assert report.findings == []
    assert report.vectors is not None
    assert report.vectors.unit == unit
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert units.from_dict(manifest["unit"]) == unit
    for described in (*manifest["inputs"], *manifest["values"]):
        words = hexfile.read((tmp_path / described["file"]).read_text(encoding="ascii"), described["word_bits"])
        read = [signed(one.value, described["word_bits"]) if described["signed"] else one.value for one in words]
        with np.load(tmp_path / "vectors.npz") as archive:
            assert read == archive[described["name"]].ravel().tolist(), described["name"]


@pytest.mark.parametrize("name", SOME)
def test_rows_reach_the_ends_of_the_inputs(name: str) -> None:
    unit = CASES[name]
    for one, rows in zip(unit.inputs, rows_for(unit, 40), strict=True):
        assert rows.min() == -(1 << (one.bits - 1))
        assert rows.max() == (1 << (one.bits - 1)) - 1
    assert all(np.array_equal(*pair) for pair in zip(rows_for(unit, 40), rows_for(unit, 40), strict=True))
    assert not np.array_equal(rows_for(unit, 40, seed=1)[0], rows_for(unit, 40)[0])


def test_what_was_changed_is_found(tmp_path: Path) -> None:
    folder = made(SMALL, tmp_path)
    for file in sorted(path.name for path in folder.iterdir()):
        before = (folder / file).read_bytes()
        digit = max(i for i, byte in enumerate(before) if chr(byte) in "123456789")
        (folder / file).write_bytes(before[:digit] + (b"0" if file != "vectors.npz" else b"z") + before[digit + 1 :])
        assert not check_unit(folder).ok, file
        (folder / file).unlink()
        if file == "manifest.json":
            with pytest.raises(ValueError, match=r"holds no manifest\.json"):
                check_unit(folder)
        else:
            assert any("is missing" in finding.what for finding in check_unit(folder).findings), file
        (folder / file).write_bytes(before)
    assert check_unit(folder).ok


def test_inputs_of_another_seed_are_found(tmp_path: Path) -> None:
    write_unit(compute_unit(SMALL, *rows_for(SMALL, 10, seed=1)), tmp_path, {"kind": "rows", "seed": 0})
    assert [str(finding) for finding in check_unit(tmp_path).findings] == [
        "vectors.npz: score is not what seed 0 gives"
    ]


def test_a_line_and_its_value_are_said(tmp_path: Path) -> None:
    folder = made(SMALL, tmp_path)
    lines = (folder / "code.hex").read_text(encoding="ascii").split("\n")
    right, lines[3] = lines[3], "3f" if lines[3] != "3f" else "3e"
    (folder / "code.hex").write_text("\n".join(lines), encoding="ascii")
    assert str(check_unit(folder).findings[0]) == f"code.hex:4: {lines[3]!r}, expected {right!r}"


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"schema": "other"}'])
def test_a_manifest_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    report = check_unit(tmp_path)
    assert report.vectors is None
    assert report.findings[0].file == "manifest.json"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize("name", SOME)
def test_the_header_is_c(name: str, tmp_path: Path) -> None:
    made(CASES[name], tmp_path)
    names = [*(one.name for one in CASES[name].inputs), *CASES[name].widths()]
    used = " ".join(f"(void)golden_{one};" for one in names)
    (tmp_path / "main.c").write_text(f'#include "vectors.h"\nint main(void) {{ {used} return 0; }}\n', encoding="ascii")
    command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "main.c", "-o", "bench"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"rows": 0}, "rows must be"), ({"rows": 3, "length": 6}, "length must be an integer from 1 to 5"),
     ({"rows": 3, "seed": -1}, "seed")],
)  # fmt: skip
def test_refusals(arguments: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        rows_for(SMALL, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no rows"):
        compute_unit(SMALL, np.zeros((0, 5), int))
