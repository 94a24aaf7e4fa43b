"""Small units of every kind for the hardware, in narrow widths where everything can be tried."""

from __future__ import annotations

from functools import cache

import numpy as np

import ptqsim as pq
from ptqsim import units
from ptqsim.rtl import UnitHardware

SOFTMAX, GELU, UNIFORM = pq.TwinSoftmax(5, 3), pq.TwinGELU(5, 2, 0.05), pq.Uniform(5, 0.1)
NEAREST = pq.TwinSoftmax(5, 3, range_choice="nearest")
RECIPROCAL = units.Division("reciprocal", 16)
RNG = np.random.default_rng(5)
SCALES, BIAS = RNG.uniform(0.2, 3.0, 5) * 1e-2, RNG.normal(0, 0.3, 5)
GAMMA, BETA = RNG.normal(1, 0.4, 6), RNG.normal(0, 0.4, 6)


def hardware(name: str) -> UnitHardware:
    """A case by name."""
    return CASES[name]


@cache
def _cases() -> dict[str, UnitHardware]:
    index = pq.Uniform(5, 0.2)
    softmax = units.Softmax.from_real(0.2, SOFTMAX, 9, 7, entries=8, table_bits=8, position_bits=5)
    return {
        "rescale": UnitHardware(units.Rescale.from_real(SCALES, UNIFORM, BIAS, 9, 7), lanes=2),
        "rescale_zero_point": UnitHardware(
            units.Rescale.from_real(0.01, pq.Uniform(5, 0.1, signed=False, zero_point=9), 0.4, 9, 7)
        ),
        "rescale_gelu": UnitHardware(
            # Powers of two, of which quotients are halves exactly, and others.
            units.Rescale.from_real(
                [0.0025, 0.005, 0.01, 0.004, 0.03], pq.TwinGELU(5, 2, 0.02, range_choice="nearest"), BIAS, 9, 7
            )
        ),
        "rescale_softmax": UnitHardware(units.Rescale.from_real(3 / 1024, SOFTMAX, 0.0, 9, 7)),
        # The least values of R2 round to zero, which R1 has.
        "rescale_hole": UnitHardware(units.Rescale.from_real(3 / 1024, pq.TwinSoftmax(4, 5), 0.0, 9, 7)),
        "residual": UnitHardware(
            units.ResidualAdd.from_real(0.1, SCALES, pq.Uniform(8, 0.11), BIAS, 8, 9, 7, gain=RNG.normal(0, 1, 5)),
            lanes=2,
        ),
        "gelu": UnitHardware(units.GELU.from_real(SCALES, index, GELU, BIAS, 9, 7), lanes=2),
        "i_gelu": UnitHardware(units.IGELU.from_real(0.02, index, GELU, 0.1, 9, 7)),
        "shift_gelu": UnitHardware(units.ShiftGELU.from_real(SCALES, index, GELU, BIAS, 9, 7, 9, 5), lanes=2),
        "softmax": UnitHardware(softmax),
        "softmax_lanes": UnitHardware(softmax, lanes=4),
        "softmax_nearest": UnitHardware(
            units.Softmax.from_real(0.2, NEAREST, 9, 7, entries=8, table_bits=8, division=units.Division())
        ),
        "softmax_reciprocal": UnitHardware(
            units.Softmax.from_real(
                0.2, pq.Uniform(6, 1 / 31), 9, 7, entries=8, table_bits=8, division=RECIPROCAL
            )
        ),
        "shiftmax": UnitHardware(units.Shiftmax.from_real(0.15, SOFTMAX, 9, 7, 6)),
        "i_exp": UnitHardware(units.IExpSoftmax.from_real(0.08, SOFTMAX, 9, 8)),
        "ita": UnitHardware(units.ITASoftmax.from_real(0.1, SOFTMAX, 9, 7, part=4), lanes=2),
        "layer_norm": UnitHardware(
            units.LayerNorm.from_real(GAMMA, BETA, 1e-3, 0.1, UNIFORM, None, 7, 6, 5, 8), lanes=4
        ),
        "layer_norm_bits": UnitHardware(
            units.LayerNorm.from_real(1.0, 0.0, 0.0, 1.0, GELU, 5, 7, 5, 4, 8, root="bits")
        ),
        # Roots at which Newton's iteration would go up again, and another reciprocal for it.
        "layer_norm_two": UnitHardware(units.LayerNorm(UNIFORM, (37, -51), (90, 11), 22, 2, 5, 4, 4, 4)),
    }  # fmt: skip


CASES = _cases()
