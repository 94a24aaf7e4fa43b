"""Units of every formulation in every output format, and inputs that reach the ends of their widths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

import ptqsim as pq
from ptqsim import integer_only as io
from ptqsim import units

FORMATS = {
    "uniform8": pq.Uniform(8, 0.05),
    "uniform12": pq.Uniform(12, 0.01),
    "uniform_at_256": pq.Uniform(9, 1 / 256),
    "uniform_at_255": pq.Uniform(9, 1 / 255),
    "gelu": pq.TwinGELU(6, 3, 0.03),
    "gelu_nearest": pq.TwinGELU(6, 3, 0.03, range_choice="nearest"),
    "softmax": pq.TwinSoftmax(8, 6),
    "softmax_nearest": pq.TwinSoftmax(6, 4, range_choice="nearest"),
    "softmax_hole": pq.TwinSoftmax(4, 7),
    "log2": pq.Log2(4),
}
RECIPROCAL = units.Division("reciprocal", 30)
RNG = np.random.default_rng(0)
CHANNELS = 7
SCALES = RNG.uniform(0.5, 2, CHANNELS) * 1e-3
BIAS = RNG.normal(0, 0.3, CHANNELS)
GAMMA, BETA = RNG.normal(1, 0.4, 48), RNG.normal(0, 0.4, 48)


def makers() -> dict[str, Callable[[], units.Unit]]:
    """Functions that make the cases: tests are named without making any."""
    made: dict[str, Callable[[], units.Unit]] = {}
    for name, fmt in FORMATS.items():
        made[f"rescale-{name}"] = partial(units.Rescale.from_real, SCALES, fmt, BIAS, acc_bits=14)
        made[f"layer_norm-{name}"] = partial(units.LayerNorm.from_real, GAMMA, BETA, 1e-6, 2**-8, fmt, x_bits=12)
        for division in (units.Division(), RECIPROCAL):
            unit = partial(units.Softmax.from_real, 1 / 40, fmt, 64, 10, entries=16, division=division)
            made[f"softmax-{name}-{division.method}"] = unit
            if name in {"softmax", "uniform_at_255", "softmax_nearest"} or (name == "log2" and division is RECIPROCAL):
                made[f"shiftmax-{name}-{division.method}"] = partial(
                    units.Shiftmax.from_real, 0.03, fmt, 64, 9, 10, division
                )
                made[f"i_exp-{name}-{division.method}"] = partial(
                    units.IExpSoftmax.from_real, 0.03, fmt, 64, 9, division
                )
                for part in (0, 16):
                    unit = partial(units.ITASoftmax.from_real, 0.03, fmt, 64, 9, part=part, division=division)
                    made[f"ita{part}-{name}-{division.method}"] = unit
        if name not in {"log2"}:
            made[f"tflite-{name}"] = partial(units.TFLiteSoftmax.from_real, 0.05, fmt, 64)
    eight = FORMATS["uniform8"]
    residual = pq.Uniform(12, 2**-7)
    made["rescale-tensor"] = partial(units.Rescale.from_real, 0.4, eight, acc_bits=10)
    made["rescale-left"] = partial(units.Rescale, eight, units.Multiplier([3], [-4]), (-7,), acc_bits=6)
    made["residual"] = partial(units.ResidualAdd.from_real, 2**-7, SCALES, residual, BIAS, x_bits=12, acc_bits=14)
    made["residual-free"] = partial(
        units.ResidualAdd.from_real, 0.011, 3e-4, pq.Uniform(8, 0.07), 0.1, x_bits=8, acc_bits=14
    )
    made["layer_norm-small"] = partial(
        units.LayerNorm.from_real, GAMMA, BETA, 1e-6, 0.03, eight, x_bits=8, precision=8, fraction=8, gain_bits=12
    )
    made["layer_norm-bits"] = partial(units.LayerNorm.from_real, 1.0, 0.0, 0.0, 1.0, eight, 48, 12, root="bits")
    made["layer_norm-left"] = partial(
        units.LayerNorm.from_real, 1.0, 0.0, 0.0, 1.0, eight, 48, 4, precision=4, fraction=14
    )
    made["softmax-64"] = partial(units.Softmax.from_real, 0.01, FORMATS["softmax"], 64, 12, entries=64)
    for division, fmt in ((units.Division(), "softmax"), (RECIPROCAL, "uniform12"), (units.Division(), "log2")):
        for part in (0, 1, 16):
            made[f"running{part}-{fmt}-{division.method}"] = partial(
                units.RunningSoftmax.from_real, 0.03, FORMATS[fmt], 64, 9, 16, 11, part, division=division
            )
    made["softmax-1"] = partial(units.Softmax.from_real, 0.2, FORMATS["softmax"], 64, 8, entries=1, table_bits=8)
    for activation in (units.GELU, units.SiLU, units.QuickGELU, units.ReLU):
        made[activation.kind] = partial(
            activation.from_real, SCALES, pq.Uniform(8, 0.06), FORMATS["gelu"], BIAS, acc_bits=14
        )
    for gelu in (units.ShiftGELU, units.IGELU):
        for name in ("gelu", "uniform8", "uniform12"):
            index = pq.Uniform(8, 0.06)
            made[f"{gelu.kind}-{name}"] = partial(gelu.from_real, SCALES, index, FORMATS[name], BIAS, acc_bits=14)
    made["gelu-twin"] = partial(
        units.GELU.from_real, SCALES, pq.TwinGELU(9, 4, 0.004), pq.TwinGELU(8, 5, 0.0014), acc_bits=14
    )
    return made


class Cases(Mapping[str, units.Unit]):
    """The cases by name, each made when it is first asked for."""

    def __init__(self) -> None:
        self.makers = makers()
        self.made: dict[str, units.Unit] = {}

    def __getitem__(self, name: str) -> units.Unit:
        if name not in self.made:
            self.made[name] = self.makers[name]()
        return self.made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.makers)

    def __len__(self) -> int:
        return len(self.makers)


CASES = Cases()


def row_length(unit: units.Unit) -> int:
    return unit.channels or min(unit.longest, 64)


def inputs_of(unit: units.Unit, rows: int, seed: int) -> list[Any]:
    """Rows [R, n] of every input: of all magnitudes, constant, at both ends, and with one value far from the others."""
    rng = np.random.default_rng(seed)
    n, found = row_length(unit), []
    for one in unit.inputs:
        low, high = -(1 << (one.bits - 1)), (1 << (one.bits - 1)) - 1
        width = 2.0 ** rng.uniform(0, one.bits, (rows, 1))
        values = np.clip(np.rint(rng.normal(0, width, (rows, n)) + rng.normal(0, width)), low, high).astype(np.int64)
        half = np.where(np.arange(n) < n // 2, low, high)
        special = [np.full(n, low), np.full(n, high), np.zeros(n), half, np.where(np.arange(n) == 0, high, low)]
        special += [np.where(np.arange(n) == n - 1, low, high), np.arange(n) % 2]
        values[: len(special)] = special
        found.append(values)
    return found


def unit_plan() -> io.Plan:
    """Every case of every unit, each a step, on rows that use the width of its inputs."""
    rng = np.random.default_rng(3)
    steps: list[io.Step] = []
    for name, make in makers().items():
        unit = make()
        n = unit.channels or min(unit.longest, 24)
        row = io.Move(f"{name} row", "pixels", (io.Reshape((12, 48)), io.Take(1, 0, n)))
        sources = []
        for one in unit.inputs:
            half = 1 << (one.bits - 2)
            constant = rng.integers(-half, half, (12, n))
            constant[::3] = constant[::3, :1]
            factors = tuple(rng.integers(0, half // 256 + 1, n).tolist())
            sources.append(io.Combine(f"{name} {one.name}", (row.name,), (factors,), constant))
        steps += [row, *sources, io.Apply(name, tuple(one.name for one in sources), (unit,))]
    return io.Plan(tuple(steps), (1, 12, 48), (0.5,), (0.5,), 1.0)
