"""GELUs of I-ViT and I-BERT in Python integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from ptqsim.units.reference import rescale, target
from ptqsim.units.reference.shift_exp import shift_exp

if TYPE_CHECKING:
    from ptqsim.units.activation_units.i_gelu import IGELU
    from ptqsim.units.activation_units.shift_gelu import ShiftGELU
    from ptqsim.units.protocol import Trace
    from ptqsim.units.rescale import Rescale


def shift_gelu(unit: ShiftGELU, acc: Sequence[int]) -> Trace:
    """I-ViT, section 3.4, Algorithm 2: x times a sigmoid of ShiftExp, relative to the greatest value of the row."""
    found, value = _pre_activation(unit.rescale, acc)
    magnified = [x + (x >> 1) + (x >> 3) + (x >> 4) for x in value]  # 1.702 x
    peak = max(magnified)
    exponential = [shift_exp(m - peak, unit.inverse_step, unit.shift).exponential for m in magnified]
    of_zero = shift_exp(-peak, unit.inverse_step, unit.shift).exponential
    total = [e + of_zero for e in exponential]
    sigmoid = [
        _quotient(e << unit.sigmoid_bits, t) for e, t in zip(exponential, total, strict=True)
    ]  # in units of 2**-sigmoid_bits
    product = [x * s for x, s in zip(value, sigmoid, strict=True)]
    scaled = [p * unit.multiplier.mantissa[0] for p in product]
    codes = [target.shifted(one, unit.multiplier.shift[0], unit.out_format) for one in scaled]
    return found | {
        "value": value,
        "magnified": magnified,
        "peak": peak,
        "exponential": exponential,
        "of_zero": of_zero,
        "total": total,
        "sigmoid": sigmoid,
        "activated": product,
        "scaled": scaled,
        "nudged_code": [one.nudged for one in codes],
        "rounded_code": [one.rounded for one in codes],
        "code": [one.code for one in codes],
    }


def i_gelu(unit: IGELU, acc: Sequence[int]) -> Trace:
    """I-BERT, section 3.4, Algorithm 2: erf by a polynomial of degree 2, clipped where it turns."""
    found, value = _pre_activation(unit.rescale, acc)
    clipped = [min(abs(x), -unit.vertex) for x in value]
    polynomial = [(c + unit.vertex) ** 2 + unit.constant for c in clipped]
    erf = [p if x > 0 else -p if x < 0 else 0 for p, x in zip(polynomial, value, strict=True)]
    activated = [x * (e + unit.one) for x, e in zip(value, erf, strict=True)]
    # The step of erf is negative, as its leading coefficient is.
    scaled = [-a * unit.multiplier.mantissa[0] for a in activated]
    codes = [target.shifted(one, unit.multiplier.shift[0], unit.out_format) for one in scaled]
    return found | {
        "value": value,
        "clipped": clipped,
        "polynomial": polynomial,
        "erf": erf,
        "activated": activated,
        "scaled": scaled,
        "nudged_code": [one.nudged for one in codes],
        "rounded_code": [one.rounded for one in codes],
        "code": [one.code for one in codes],
    }


def _pre_activation(unit: Rescale, acc: Sequence[int]) -> tuple[Trace, list[int]]:
    """The values of the rescaling, with its code as `index`, and the integers that these codes stand for."""
    found = rescale.trace(unit, acc)
    index = cast("list[int]", found.pop("code"))
    aligned = unit.out_format.aligned_table().tolist()
    return found | {"index": index}, [aligned[one] for one in index]


def _quotient(numerator: int, divisor: int) -> int:
    return (2 * numerator + divisor) // (2 * divisor)
