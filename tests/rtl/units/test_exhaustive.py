"""Every row of one and of two elements at narrow widths, with gaps in the streams."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim import units
from ptqsim.rtl import CycleSchedule, UnitHardware, run_unit
from ptqsim.rtl.simulation.engines import build
from tests.rtl.needs import need

INDEX, GELU = pq.Uniform(4, 0.3), pq.TwinGELU(4, 2, 0.06)
RECIPROCAL = units.Division("reciprocal", 14)


def narrow() -> dict[str, UnitHardware]:
    """Units with inputs of 4 or 5 bits, rows of 2 at most."""
    softmaxes = {
        f"{name}-{fmt.kind}-{fmt.bits}-{division.method}": maker(fmt, division)
        for fmt, division in product(
            (pq.TwinSoftmax(4, 3), pq.TwinSoftmax(4, 2, range_choice="nearest"), pq.Uniform(5, 1 / 15)),
            (units.Division(), RECIPROCAL),
        )
        for name, maker in {
            "table": lambda fmt, division: units.Softmax.from_real(0.4, fmt, 2, 5, 4, 6, 4, division=division),
            "shiftmax": lambda fmt, division: units.Shiftmax.from_real(0.3, fmt, 2, 5, 5, division),
            "i_exp": lambda fmt, division: units.IExpSoftmax.from_real(0.2, fmt, 2, 5, division),
            "ita": lambda fmt, division: units.ITASoftmax.from_real(0.3, fmt, 2, 5, 4, 1, division=division),
        }.items()
    }
    gelus = {
        "gelu": units.GELU.from_real(0.2, INDEX, GELU, 0.1, 5, 5),
        "i_gelu": units.IGELU.from_real(0.2, INDEX, GELU, 0.1, 5, 5),
        "shift_gelu": units.ShiftGELU.from_real(0.2, INDEX, GELU, 0.1, 5, 5, 9, 5),
    }
    norms = {
        f"layer_norm-{root}-{precision}": units.LayerNorm.from_real(
            [1.0, -0.7], [0.1, 0.4], 0.01, 0.2, pq.Uniform(5, 0.11), None, 5, precision, 6, 7, root
        )
        for root, precision in product(("newton", "bits"), (4, 7))
    }
    others = {
        "rescale": units.Rescale.from_real([0.03, 0.2], GELU, [0.1, -0.4], 5, 5),
        "residual": units.ResidualAdd.from_real(0.1, [0.03, 0.2], pq.Uniform(5, 0.12), [0.1, -0.4], 4, 4, 5),
    }
    made = softmaxes | gelus | norms | others
    lengths = {name: 2 if name == "shift_gelu" else None for name in made}
    return {
        name: UnitHardware(unit, lanes=1 + number % 2 * ("ita" not in name), length=lengths[name])
        for number, (name, unit) in enumerate(made.items())
    }


NARROW = narrow()


def every_row(hardware: UnitHardware, length: int) -> list[NDArray[np.int64]]:
    """Every row of a length, of every input with every other."""
    ranges = [
        np.arange(-(1 << (one.bits - 1)), 1 << (one.bits - 1)) for one in hardware.unit.inputs for _ in range(length)
    ]
    grid = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, len(hardware.unit.inputs), length)
    return [np.ascontiguousarray(grid[:, number]) for number in range(len(hardware.unit.inputs))]


@pytest.mark.parametrize("name", NARROW)
def test_every_row_of_two(name: str) -> None:
    need("iverilog")
    hardware = NARROW[name]
    simulated = build(hardware.module(), "iverilog")
    lengths = (2,) if hardware.unit.channels else (1, 2)
    # Pairs of both inputs are 2^16; every seventh of them is as many as the others have.
    for length in lengths:
        rows = [one[:: 7 if len(hardware.unit.inputs) > 1 else 1] for one in every_row(hardware, length)]
        found = run_unit(simulated, hardware, *rows, schedule=CycleSchedule(seed=len(name)))
        assert np.array_equal(found, hardware.unit(*rows))
