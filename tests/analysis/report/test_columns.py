"""Columns as a page takes them: what goes in comes out."""

from __future__ import annotations

from base64 import b64decode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.report.columns import packed, packed_rows

TYPES = {"u1": "<u1", "u2": "<u2", "u4": "<u4", "f8": "<f8"}


def unpacked(column: dict) -> list:  # type: ignore[type-arg]
    values = np.frombuffer(b64decode(column["data"]), TYPES[column["type"]])
    if column["kind"] == "category":
        return [column["values"][code] for code in values]
    return [None if np.isnan(value) else float(value) for value in values]


@given(
    st.lists(st.one_of(st.none(), st.integers(-5, 5)))
    | st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)))
    | st.lists(st.one_of(st.none(), st.text(max_size=5)))
)
def test_round_trip(cells: list) -> None:  # type: ignore[type-arg]
    assert unpacked(packed("x", "x", cells)) == cells


@pytest.mark.parametrize(("distinct", "kind"), [(256, "u1"), (257, "u2"), (4096, "u2"), (4097, "f8")])
def test_no_more_bytes_than_values_need(distinct: int, kind: str) -> None:
    column = packed("x", "x", list(range(distinct)) * 2)
    assert column["type"] == kind
    assert unpacked(column) == list(range(distinct)) * 2


def test_empty_columns_are_left_out_and_keys_are_bytes() -> None:
    rows = [{"key": "00ff", "a": 1, "b": None}, {"key": "a1b2", "a": 2, "b": None}]
    found = packed_rows({"a": "A", "b": "B"}, rows, {1: "why"})
    assert [column["name"] for column in found["columns"]] == ["a"]
    assert b64decode(found["keys"]) == bytes.fromhex("00ffa1b2")
    assert (found["length"], found["key_size"], found["errors"]) == (2, 2, {1: "why"})
