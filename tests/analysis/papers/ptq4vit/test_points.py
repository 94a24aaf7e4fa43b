"""Figs. 3 and 4 and the range rule, against the formulas of the paper written out."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.papers.ptq4vit.fig3_points import UniformPoints
from analysis.papers.ptq4vit.fig4_twin_points import TwinPoints
from analysis.papers.ptq4vit.range_rule import RangeRule


def test_fig4_softmax_codes(workload):
    points = TwinPoints().compute(workload)["points"].where(kind="softmax")
    # k = 3, m = 2: R2 in steps of 1/4, R1 in steps of 1/16
    assert dict(zip(points.column("code"), points.column("value"), strict=True)) == {
        "000": 0, "001": 1 / 16, "010": 2 / 16, "011": 3 / 16,
        "100": 0, "101": 1 / 4, "110": 2 / 4, "111": 3 / 4,
    }  # fmt: skip


@pytest.mark.parametrize(("bits", "shift"), [(3, 0), (3, 2), (4, 5)])
def test_fig4_gelu_codes(workload, bits, shift):
    points = TwinPoints(bits=bits, gelu_shift=shift).compute(workload)["points"].where(kind="gelu")
    scale = points.column("scale_R1")[0]
    for row in points.records():
        flag, magnitude = int(row["code"][0]), int(row["code"][1:], 2)
        assert row["range"] == ("R2" if flag else "R1")
        assert row["magnitude"] == magnitude
        assert row["aligned"] == (magnitude * 2**shift if flag else -magnitude)
        assert row["value"] == pytest.approx(row["aligned"] * scale, rel=1e-15)
    assert min(points.column("value")) == pytest.approx(-0.17, abs=1e-4)


def test_fig3_points_are_multiples_of_the_scale(workload):
    data = UniformPoints(bins=10).compute(workload)
    for kind, layer in (("softmax", "blocks.1.attn.matmul_pv"), ("gelu", "blocks.1.mlp.fc2")):
        values = workload.captured[layer].a.numpy()
        points = data["points"].where(kind=kind)
        for normalized in (1.0, 0.25, 0.0625):
            shown = points.where(normalized_scale=normalized)
            scale = normalized * np.abs(values).max() / 4
            by_code = {
                int(code, 2): value for code, value in zip(shown.column("code"), shown.column("value"), strict=True)
            }
            expected = {code: (code - 8 if code >= 4 else code) * scale for code in range(8)}
            assert by_code == pytest.approx(expected, rel=1e-12)


def test_range_rule_hole(workload):
    data = RangeRule(values=500).compute(workload)["points"]
    real = data.where(rule="paper").values("real")
    paper, nearest = (data.where(rule=rule).values("decoded") for rule in ("paper", "nearest"))
    # k = 8, m = 11: R1 holds multiples of 2^-18 below 2^-11, R2 multiples of 2^-7; half a step of R2 is 2^-8
    lost = (real >= 2.0**-11) & (real < 2.0**-8)
    assert lost.sum() > 100
    assert (paper[lost] == 0).all()
    assert (paper[~lost] > 0).all()
    grid = np.unique(np.concatenate([np.arange(128) * 2.0**-18, np.arange(128) * 2.0**-7]))
    best = np.abs(real[:, None] - grid).min(axis=1)
    np.testing.assert_array_equal(np.abs(real - nearest), best)
