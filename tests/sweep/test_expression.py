"""Conditions: what holds, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptqsim.sweep.study.expression import parse

NAMES = ("w_bits", "a_bits", "acc_bits", "overflow", "method")
NUMBERS = st.integers(-5, 5)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("w_bits == 6", True),
        ("w_bits == a_bits", False),
        ("overflow in ['wrap', 'trap']", True),
        ("overflow not in ('wrap', 'trap')", False),
        ("not (w_bits > 4 and a_bits > 9)", True),
        ("4 < w_bits <= 6 < a_bits", True),
        ("w_bits + 2 == a_bits", True),
        ("a_bits % 3 == 2 or w_bits // 4 == 2", True),
        ("acc_bits >= 24", True),  # exact is wider than every number
        ("acc_bits == 'exact'", True),
        ("-w_bits < 0", True),
        ("True", True),
    ],
)
def test_holds(text: str, holds: bool) -> None:
    values = {"w_bits": 6, "a_bits": 8, "acc_bits": "exact", "overflow": "wrap", "method": "ptq4vit"}
    assert parse(text, NAMES).holds(values) is holds


@given(NUMBERS, NUMBERS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), st.sampled_from(["and", "or"]))
def test_agrees_with_python(w: int, a: int, compare: str, join: str) -> None:
    text = f"w_bits {compare} a_bits {join} not w_bits * 2 {compare} a_bits - 1"
    assert parse(text, NAMES).holds({"w_bits": w, "a_bits": a}) is eval(text, {}, {"w_bits": w, "a_bits": a})


def test_names_are_those_used() -> None:
    assert parse("w_bits == 8 or overflow == 'wrap'", NAMES).names == {"w_bits", "overflow"}


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "w_bits.bit_length() == 3",
        "(lambda: 1)()",
        "[x for x in (1, 2)]",
        "w_bits ** 9 ** 9",
        "f'{w_bits}'",
        "w_bits if a_bits else 1",
        "w_bits := 3",
        "w_bits is 3",
        "overflow[0] == 'w'",
        "",
        "w_bits ==",
        "w_bits == 1; a_bits == 2",
        "1 == " * 200 + "1",
    ],
)
def test_nothing_else_is_legal(text: str) -> None:
    with pytest.raises(ValueError, match=r"legal are|expected|can't be read"):
        parse(text, NAMES)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown axis 'w_bit'.*Did you mean 'w_bits'"):
        parse("w_bit == 8", NAMES)


def test_texts_have_no_order_with_numbers() -> None:
    with pytest.raises(ValueError, match="have no order"):
        parse("overflow < 3", NAMES).holds({"overflow": "wrap"})
