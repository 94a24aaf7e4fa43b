"""A plan with every kind of step, and images for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import ptqsim as pq
from ptqsim import integer_only as io
from ptqsim import units

RNG = np.random.default_rng(0)
FMT = pq.Uniform(6, 0.1)


def weights(k: int, n: int, fmt: pq.NumberFormat = FMT) -> pq.QuantizedArray:
    return pq.QuantizedArray(RNG.integers(0, 64, (k, n)), fmt)


def small_plan() -> io.Plan:
    """Every kind of step once: 4 patches of 12 pixels and a token, 2 heads of 3, pooled to 5 logits."""
    patches = io.Move(
        "patches", "pixels", (io.Reshape((3, 2, 2, 2, 2)), io.Transpose((1, 3, 0, 2, 4)), io.Reshape((4, 12)))
    )
    constant = RNG.integers(-3000, 3000, (5, 6))
    narrow = [
        units.Rescale.from_real(0.001 * (h + 1), replace(FMT, scale=0.1 * (h + 1)), acc_bits=16) for h in range(2)
    ]
    split = (io.Reshape((5, 2, 3)), io.Transpose((1, 0, 2)))
    softmax = [units.Softmax.from_real(0.01, pq.TwinSoftmax(6, 4), 5, score_bits=16) for _ in range(2)]
    values = units.Rescale.from_real(0.002, FMT, acc_bits=20)
    stream = pq.Uniform(12, 0.01)
    steps = (
        patches,
        io.Product("embed", "patches", weights=(weights(12, 6),)),
        io.Move("tokens", "embed", (io.Pad(0, 1),)),
        io.Combine("positions", ("tokens",), ((1,),), constant),
        io.Apply("stream", ("positions",), (units.Rescale.from_real(0.002, stream, acc_bits=20),)),
        io.Apply("norm", ("stream",), (units.LayerNorm.from_real(np.ones(6), 0.0, 1e-6, 0.01, FMT, x_bits=12),)),
        io.Product("q.sum", "norm", weights=(weights(6, 6),)),
        io.Move("q.heads", "q.sum", split),
        io.Apply("q", ("q.heads",), tuple(narrow)),
        io.Product("scores", "q", "q", transposed=True),
        io.Apply("softmax", ("scores",), tuple(softmax)),
        io.Product("values.sum", "softmax", "q"),
        io.Apply("values", ("values.sum",), (values,)),
        io.Move("merged", "values", (io.Transpose((1, 0, 2)), io.Reshape((5, 6)), io.Roll(0, 2))),
        io.Product("project", "merged", weights=(weights(6, 3), weights(6, 3, replace(FMT, scale=0.2)))),
        io.Apply(
            "sum",
            ("stream", "project"),
            (units.ResidualAdd.from_real(0.01, 0.003, stream, x_bits=12, acc_bits=20, gain=[1, -0.5, 0, 2, 1, 1]),),
        ),
        io.Total("total", "sum", 0),
        io.Apply("mean", ("total",), (units.Rescale.from_real(0.002, FMT, acc_bits=20),)),
        io.Product("head", "mean", weights=(weights(6, 5),)),
        io.Combine("logits", ("head",), ((1, 2, 3, 4, 5),), np.arange(5), 0.5),
    )
    return io.Plan(steps, (3, 4, 4), (0.5,) * 3, (0.5,) * 3, 0.5)


PLAN = small_plan()
IMAGES = RNG.integers(0, 256, (3, 3, 4, 4)).astype(np.uint8)
