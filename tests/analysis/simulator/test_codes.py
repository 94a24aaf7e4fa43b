"""Counts of codes, from the formulas of the paper."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from analysis.framework.workload import Setting
from analysis.simulator.codes import Codes

BITS = 5


def codes_of(x, fmt):
    """Eq. 2 and Eq. 4, in float32 as the network computes."""
    half, scale = 2 ** (BITS - 1), np.float32(fmt.scale)
    if isinstance(fmt, pq.Uniform):
        return np.clip(np.rint(x / scale), -half, half - 1).astype(int) % (2 * half)
    second = np.float32(fmt.scale * 2.0**fmt.shift)
    top = half - 1
    if isinstance(fmt, pq.TwinSoftmax):
        one, two = np.clip(np.rint(x / scale), 0, top), np.clip(np.rint(x / second), 0, top)
        flag = (x >= 2.0**-fmt.shift) & (two * 2**fmt.shift > top)
        shared = (x >= 2.0**-fmt.shift) & ~flag  # R1 has that value as well, and wins
        return np.where(flag, half + two, np.where(shared, two * 2**fmt.shift, one)).astype(int)
    one, two = np.clip(np.rint(-x / scale), 0, top), np.clip(np.rint(x / second), 0, top)
    return np.where((x >= 0) & (two > 0), half + two, np.where(x < 0, one, 0)).astype(int)


@pytest.fixture
def data(workload):
    return Codes(bits=BITS).compute(workload)


def test_counts_and_unused(workload, data):
    for method in ("base_ptq", "ptq4vit"):
        layers = workload.quantized(Setting(method, BITS, BITS)).layers
        for row in data["usage"].where(method=method).records():
            seen = workload.captured[row["layer"]]
            values = (seen.a if row["operand"] == "a" else seen.b).numpy()
            formats = getattr(layers[row["layer"]].formats, row["operand"])
            used = set().union(*(np.unique(codes_of(values[g], fmt)) for g, fmt in enumerate(formats)))
            assert row["unused"] == 2**BITS - len(used)
            assert row["codes"] == 2**BITS


def test_histogram(workload, data):
    histogram = data["histogram"]
    for method in ("base_ptq", "ptq4vit"):
        layers = workload.quantized(Setting(method, BITS, BITS)).layers
        for name, kind in (("blocks.1.attn.matmul_pv", "softmax"), ("blocks.1.mlp.fc2", "gelu")):
            shown = histogram.where(method=method, input=kind)
            values = workload.captured[name].a.numpy()
            codes = [codes_of(values[g], fmt).ravel() for g, fmt in enumerate(layers[name].formats.a)]
            count = np.bincount(np.concatenate(codes), minlength=2**BITS)
            np.testing.assert_array_equal(shown.values("count"), count[shown.column("code")])
            assert shown.values("share").sum() == pytest.approx(1)
            assert sorted(shown.column("code")) == list(range(2**BITS))
            assert (np.diff(shown.values("aligned")) >= 0).all()
