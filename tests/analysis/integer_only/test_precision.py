"""The figure of the precision that integer units need."""

from __future__ import annotations

import pytest

from analysis.integer_only.precision import Precision
from ptqsim import ptq


def test_points_are_those_of_the_integer_only_network(workload):
    made = Precision(widths=(6,), residual=(5,), table=(2,), root=(4,), method="percentile", images=6)
    data = made.compute(workload)
    exact = ptq.evaluate(workload.network, workload.validation, limit=6)
    options = {
        ("residual", 5): {"residual_bits": 5},
        ("table", 2): {"softmax": {"entries": 2}},
        ("root", 4): {"layer_norm": {"precision": 4}},
    }
    for (what, value), units in options.items():
        q = ptq.calibrate(
            workload.network, workload.calibration_images, method="percentile", w_bits=6, a_bits=6, seed=workload.seed,
            integer_only=True, **units,
        )  # fmt: skip
        q.mode = "integer_only"
        (row,) = data["points"].where(varied=what, value=value).records()
        found = ptq.evaluate(q, workload.validation, limit=6)
        assert row["kl"] == pytest.approx(ptq.difference(found, exact).divergence.value)
    printed = made.printed(data)
    assert printed.rows[0][:3] == ("W6A6", "Integer mode", "")
    assert printed.rows[2][1:3] == ("entries of softmax's table", "2")


def test_precisions_that_no_unit_has_are_refused():
    with pytest.raises(ValueError, match="17"):
        Precision(residual=(17,))
    with pytest.raises(ValueError, match="legal are 1 to 4"):
        Precision(widths=(2, 3, 4, 5, 6))
