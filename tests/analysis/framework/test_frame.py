from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.framework.frame import Frame, concatenate

CELLS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("ab,\"'\n é", max_size=5)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_csv_keeps_every_cell(rows):
    frame = Frame(("x", "y"), tuple(rows))
    names, *lines = csv.reader(io.StringIO(frame.csv()))
    assert tuple(names) == frame.names
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        for text, cell in zip(line, row, strict=True):
            match cell:
                case None:
                    assert text == ""
                case bool():
                    assert text == {True: "true", False: "false"}[cell]
                case float():
                    assert float(text) == cell
                case int():
                    assert int(text) == cell
                case _:
                    assert text == cell


def test_columns_become_plain_cells():
    frame = Frame.of({"bits": np.array([8, 6], np.uint8), "top1": np.array([1.5, 2.5], np.float32), "mode": ["a", "b"]})
    assert frame.rows == ((8, 1.5, "a"), (6, 2.5, "b"))
    assert [type(cell) for cell in frame.rows[0]] == [int, float, str]


def test_a_single_cell_stands_in_every_row():
    assert Frame.of({"mode": "wrap", "bits": [8, 7], "top1": None}).rows == (("wrap", 8, None), ("wrap", 7, None))


def test_selection():
    frame = Frame.of({"mode": ["wrap", "wrap", "saturate"], "bits": [8, 9, 8], "top1": [1.0, None, 3.0]})
    assert frame.where(mode="wrap", bits=9).records() == [{"mode": "wrap", "bits": 9, "top1": None}]
    assert frame.distinct("mode") == ["wrap", "saturate"]
    values = frame.values("top1")
    assert values[0] == 1.0
    assert math.isnan(values[1])


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="argument 2 is"):
        Frame.of({"x": [1, 2], "y": [1]})


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="row 1 has 1 cells"):
        Frame(("x", "y"), ((1, 2), (3,)))


def test_only_frames_with_the_same_columns_are_concatenated():
    one, other = Frame.of({"x": [1]}), Frame.of({"x": [2]})
    assert concatenate([one, other]).column("x") == [1, 2]
    with pytest.raises(ValueError, match="different columns"):
        concatenate([one, Frame.of({"y": [1]})])


def test_what_is_no_cell_is_refused():
    with pytest.raises(TypeError, match="list"):
        Frame.of({"x": [[1]]})
