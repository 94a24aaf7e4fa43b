"""Random products and datapaths, most of them narrow enough to overflow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

import ptqsim as pq


class Case(NamedTuple):
    a: pq.QuantizedArray
    b: pq.QuantizedArray
    accumulator: pq.Accumulator


@st.composite
def number_formats(draw: st.DrawFn) -> pq.NumberFormat:
    bits = draw(st.integers(2, 9))
    match draw(st.sampled_from(["uniform", "asymmetric", "softmax", "gelu"])):
        case "uniform":
            return pq.Uniform(bits, 0.02)
        case "asymmetric":
            signed = draw(st.booleans())
            zero_point = draw(st.integers(*pq.Uniform(bits, 0.02, signed=signed).code_range))
            return pq.Uniform(bits, 0.02, signed=signed, zero_point=zero_point)
        case "softmax":
            return pq.TwinSoftmax(bits, draw(st.integers(0, 12)))
        case _:
            return pq.TwinGELU(bits, draw(st.integers(0, 12)), 0.01)


LEADS = [((), ()), ((2,), ()), ((), (3,)), ((2,), (2,)), ((2, 1), (3,)), ((1,), (2,))]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    a_format, b_format = draw(number_formats()), draw(number_formats())
    rows, depth, columns = draw(st.integers(1, 6)), draw(st.integers(1, 12)), draw(st.integers(1, 6))
    a_lead, b_lead = draw(st.sampled_from(LEADS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    a = pq.QuantizedArray(rng.integers(0, a_format.code_count, (*a_lead, rows, depth)), a_format)
    b = pq.QuantizedArray(rng.integers(0, b_format.code_count, (*b_lead, depth, columns)), b_format)
    # A sum of K random products is about sqrt(K) of them: half of what the formats could need overflows often.
    need = pq.required_bits(a_format, b_format, depth)
    width = st.integers(2, need + 1)
    order = draw(
        st.one_of(
            st.just(pq.Sequential()),
            st.builds(pq.Tree, st.integers(1, depth + 1)),
            st.builds(pq.Split, st.integers(1, depth + 1), width),
            st.builds(pq.Split, st.integers(1, depth + 1), width, st.sampled_from(["wrap", "saturate"])),
        )
    )
    own = isinstance(order, pq.Split) and order.inner_overflow is not None
    overflow = draw(st.sampled_from(["wrap", "saturate"] if own else ["wrap", "saturate", "trap"]))
    alignment = draw(st.sampled_from(["product", "operand", "deferred"]))
    zero_point = draw(st.sampled_from(["operand", "correction"]))
    return Case(a, b, pq.Accumulator(draw(width), overflow, order, alignment, zero_point))
