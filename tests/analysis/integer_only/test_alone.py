"""Units of one kind in integers, beside the integer-only network that has all of them."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.integer_only import alone
from analysis.integer_only.alone import KINDS, in_integers
from ptqsim import ptq, units
from ptqsim.integer_only import execute
from ptqsim.integer_only.execution import integers_of
from ptqsim.ptq.integer_only.build import build_plan
from tests.ptq.networks import HALF


def test_all_kinds_together_compute_what_the_plan_does(images_and_network, monkeypatch):
    """But for requantizers and constants, which differ by the rounding of a bias: a code here and there."""
    images, quantized = images_and_network
    plan, found, wanted = quantized.plan, {}, {}

    def recorded(self, step, *integers):
        codes = original(self, step, *integers)
        found[step.name] = integers_of(codes, plan.edges[step.name])
        return codes

    original = alone._Hooks._run
    monkeypatch.setattr(alone._Hooks, "_run", recorded)
    quantized.mode = "integer"
    with in_integers(quantized, KINDS, images):
        quantized(images)

    def observe(step, values, made):
        if step.name in found:
            wanted[step.name] = integers_of(made, plan.edges[step.name])

    execute(plan, ptq.as_pixels(images, *HALF.values()).numpy(), observer=observe)
    kinds = units.LayerNorm, units.Softmax, units.GELU, units.ResidualAdd
    made_by_units = {step.name for step in plan.steps if isinstance(getattr(step, "units", (None,))[0], kinds)}
    assert set(found) == made_by_units
    for name, theirs in wanted.items():
        ours = found[name]
        if ours.size > theirs.size:  # the plan takes one token before the last LayerNorm
            ours = ours[:, 0]
        apart = np.abs(ours.reshape(theirs.shape) - theirs).mean() / np.abs(theirs).mean()
        assert apart < (0.005 if "blocks.0." in name and "layers.1" not in name else 0.06), name


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_in_integers_by_itself(images_and_network, kind, monkeypatch):
    images, quantized = images_and_network
    coarse = ptq.IntegerOnly.of(
        residual_bits=6, softmax={"entries": 2}, gelu={"bits": 5}, layer_norm={"precision": 4, "fraction": 4}
    )
    monkeypatch.setattr(quantized, "plan", build_plan(quantized, images, coarse))
    quantized.mode = "integer"
    plain = quantized(images)
    with in_integers(quantized, (kind,), images):
        assert not quantized(images).equal(plain)
    assert quantized(images).equal(plain)  # nothing stays behind


def test_an_unknown_kind_suggests_the_nearest(images_and_network):
    images, quantized = images_and_network
    with pytest.raises(ValueError, match="Did you mean 'softmax'"), in_integers(quantized, ("softmaxx",), images):
        pass
