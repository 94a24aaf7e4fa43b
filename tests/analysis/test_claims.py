"""Claims about methods: differences are paired, and a verdict follows from the difference and its standard error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.framework.frame import Frame
from analysis.framework.registry import artifact
from analysis.methods.claims import CLAIMS, Claims, compared, verdict
from analysis.methods.entries import ENTRIES
from ptqsim import ptq


def point(kl, top1):
    return {"point": Frame.of_rows([{"top1": top1}]), "images": Frame.of({"kl": kl})}


def test_differences_are_paired_by_image_and_by_draw(rng):
    hard = 10 * rng.random(50)  # what makes an image hard is the same for both
    shift = rng.normal(-0.1, 0.05, (3, 50))
    found = compared(
        [point(hard + part, 80.0 + i) for i, part in enumerate(shift)], [point(hard, 79.0) for _ in range(3)]
    )
    assert found["difference"] == pytest.approx(shift.mean())
    variance = shift.mean(axis=0).var(ddof=1) / 50 + shift.mean(axis=1).var(ddof=1) / 3
    assert found["standard_error"] == pytest.approx(np.sqrt(variance))
    assert found["standard_error"] < 0.02 < hard.std() / np.sqrt(50)
    assert (found["draws"], found["images"], found["draws_below_zero"]) == (3, 50, 3)
    assert found["top1_difference"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("difference", "expected"), [(-0.5, "holds"), (0.5, "fails"), (-0.1, "undecided"), (0.1, "undecided")]
)
def test_a_verdict_needs_two_standard_errors(difference, expected):
    assert verdict(difference, 0.1) == expected


def test_every_claim_names_two_methods_that_differ():
    for claim in CLAIMS.values():
        one, other = ENTRIES[claim.better], ENTRIES[claim.control]
        assert one.key() != other.key()


def test_a_claim_is_what_calibrate_and_evaluate_give(workload):
    made = replace(
        artifact("methods.claims"),
        models=("vit_digits",),
        widths=(6,),
        claims=("twins_alone",),
        seeds=(0, 1),
        images=12,
    )
    (row,) = made.compute(workload)["claims"].records()
    differences = []
    for seed in (0, 1):
        one = replace(workload, seed=seed)
        exact = ptq.evaluate(one.network, one.validation, limit=12)
        found = [
            ptq.evaluate(ptq.calibrate(one.network, one.calibration_images, w_bits=6, a_bits=6, seed=seed, **options),
                         one.validation, limit=12)
            for options in ({"method": "base_ptq"}, {"method": "ptq4vit", "hessian_guided": False})
        ]  # fmt: skip
        differences.append(ptq.paired_difference(found[0], found[1], exact).value)
    assert row["difference"] == pytest.approx(np.mean(differences))
    assert made.printed({"claims": Frame.of_rows([row])}).rows[0][-1] == verdict(
        row["difference"], row["standard_error"]
    )


def test_an_unknown_claim_suggests_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'hessian'"):
        Claims(claims=("hesian",))
