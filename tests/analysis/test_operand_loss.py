"""The figure and the table of every operand quantized alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.framework.registry import artifact
from analysis.methods.entries import entry
from analysis.methods.operand_loss import OperandLosses, _place, _short
from analysis.methods.point import calibrated
from ptqsim import ptq


def test_the_rows_are_those_of_the_calibrated_network(workload):
    made = replace(artifact("methods.operand_loss"), method="base_ptq", widths=(6, 4), images=6, shown=3)
    data = made.compute(workload)
    for bits in (6, 4):
        quantized = calibrated(workload, entry("base_ptq"), bits, "")
        expected = {
            loss.operand: loss.mean.value for loss in ptq.operand_losses(quantized, workload.validation, limit=6)
        }
        rows = data["operands"].where(bits=bits).records()
        assert {row["operand"]: row["kl"] for row in rows} == expected
        (whole,) = data["point"].where(bits=bits).records()
        exact = ptq.evaluate(workload.network, workload.validation, limit=6)
        found = ptq.evaluate(quantized, workload.validation, limit=6)
        assert whole["kl"] == pytest.approx(ptq.difference(found, exact).divergence.value)
    printed = made.printed(data).rows
    assert [row[1] for row in printed[3:6]] == [f"{len(expected) - 3} others", "sum", "all together"]
    shares = [float(row[-1]) for row in printed[:4]]
    assert sum(shares) == pytest.approx(100, abs=0.3)
    assert shares[:3] == sorted(shares[:3], reverse=True)
    assert set(made.files(data)) >= {".svg", ".pdf", ".png", ".md", ".tex"}


@pytest.mark.parametrize(
    ("layer", "side", "weight", "place"),
    [
        ("blocks.3.attn.qkv", "b", True, ("blocks.3", "attn.qkv: weight")),
        ("layers.0.blocks.1.attn.matmul_qk", "b", False, ("layers.0.blocks.1", "attn.$QK^T$: $K$")),
        ("blocks.3.attn.matmul_pv", "a", False, ("blocks.3", "attn.$PV$: $P$")),
        ("head", "a", False, ("head", "the layer: activation")),
    ],
)
def test_an_operand_has_its_place(layer, side, weight, place):
    assert _place({"layer": layer, "side": side, "is_weight": weight}) == place


def test_labels_of_blocks_are_short():
    assert [_short(name) for name in ("blocks.11", "layers.0.blocks.1", "patch_embed.proj", "head")] == [
        "11", "0.1", "patch", "head",
    ]  # fmt: skip


def test_an_unknown_method_suggests_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'base_ptq'"):
        OperandLosses(method="base_pqt")
