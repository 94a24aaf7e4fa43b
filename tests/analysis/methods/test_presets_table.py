"""The table of presets: ours beside what the authors print, and nothing where nobody measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.framework.registry import artifact
from analysis.methods.printed import NETWORKS, PRINTED
from ptqsim import ptq


@pytest.fixture(scope="module")
def table():
    return replace(
        artifact("methods.presets"),
        models=("vit_digits",),
        widths=(4,),
        presets=("adaround", "repq_vit"),
        seeds=(0, 1),
        images=12,
    )


def test_cells_are_what_calibrate_and_evaluate_give(table, workload):
    quick = replace(table, presets=("repq_vit",))
    data = quick.compute(workload)
    top1 = []
    for seed in (0, 1):
        one = replace(workload, seed=seed)
        q = ptq.calibrate(
            one.network, one.calibration_images, w_bits=4, a_bits=4, seed=seed, **ptq.preset("repq_vit").arguments()
        )
        top1.append(ptq.evaluate(q, one.validation, limit=12).metrics["top1"])
    assert data["points"].where(bits=4).values("top1").tolist() == top1
    printed = quick.printed(data)
    row = dict(zip(printed.columns, printed.rows[1], strict=True))
    assert row["vit_digits"].startswith(f"{np.mean(top1):.2f}")
    assert (row["Method"], row["ViT-S"], row["Swin-B"]) == ("RepQ-ViT", "65.05", "")


def test_numbers_that_nobody_measured_are_empty(table):
    lines = {title: (preset, theirs) for preset, title, theirs in table._lines(4)}
    assert lines["AdaRound"] == ("adaround", ("",) * len(NETWORKS))
    assert lines["RepQ-ViT"][1][-1] == ""
    assert lines["APHQ-ViT"] == (None, ("76.07", "82.41", "66.66", "76.40", "80.21", "81.81", "83.42"))
    assert "RepQ-ViT" in {title for _, title, theirs in table._lines(3) if not any(theirs)}


def test_printed_numbers_belong_to_presets_that_exist():
    for one in PRINTED:
        assert one.preset is None or ptq.preset(one.preset).title == one.title
        assert all(len(row) == len(NETWORKS) for row in one.top1.values())


def test_unknown_presets_are_named():
    with pytest.raises(ValueError, match="qdrop"):
        replace(artifact("methods.presets"), presets=("qdorp",))
