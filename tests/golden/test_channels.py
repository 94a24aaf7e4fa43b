"""Golden vectors of operands with scales per channel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ptqsim as pq
from ptqsim import golden


@pytest.mark.parametrize("overflow", ["wrap", "saturate", "trap"])
def test_vectors_keep_the_scales_and_have_the_same_integers(overflow: str, tmp_path: Path) -> None:
    rows, columns = pq.Uniform(6, [0.5, 0.25, 1.0], axis=-2), pq.Uniform(4, [0.1, 0.2], axis=-1)
    a, b = golden.stimulus(rows, columns, 3, 5, 2, seed=1)
    plain = golden.stimulus(rows.unscaled(), columns.unscaled(), 3, 5, 2, seed=1)
    accumulator = pq.Accumulator(9, overflow)
    found, expected = golden.compute(a, b, accumulator), golden.compute(*plain, accumulator)
    assert (found.trapped, found.overflow, found.traced) == (expected.trapped, expected.overflow, expected.traced)
    assert found.trace.tolist() == expected.trace.tolist()
    golden.write(found, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["a"]["format"] == rows.to_dict()
    assert manifest["b"]["format"] == {**columns.unscaled().to_dict(), "scale": [0.1, 0.2], "axis": -1}
    header = (tmp_path / "vectors.h").read_text(encoding="utf-8")
    assert "one for each row i of a" in manifest["conventions"]["channels"]
    assert "#define GOLDEN_A_SCALES 3 /*" in header
    assert "#define GOLDEN_B_SCALES 2 /*" in header
    report = golden.check(tmp_path)
    assert report.ok, report.findings
    assert report.vectors is not None
    assert report.vectors.b.format == columns
