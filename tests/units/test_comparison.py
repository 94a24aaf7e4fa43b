"""The comparison of formulations, and the command that prints it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import units
from ptqsim.cli.framework.app import main
from ptqsim.units.errors_of_units import comparison
from ptqsim.units.errors_of_units.comparison import Setting, compare

SMALL = Setting(bits=6, shift=4, length=24, features=16, acc_bits=12, residual_bits=10)


def test_every_formulation_is_compared_and_the_order_of_the_errors_is_known() -> None:
    measured = {one.unit.kind: one for one in compare(Setting())}
    assert set(measured) == set(units.UNITS)
    greatest = {kind: one.greatest for kind, one in measured.items()}
    assert greatest["relu"] == 0
    assert greatest["rescale"] <= 1
    assert greatest["residual_add"] <= 1
    assert greatest["layer_norm"] == 1
    assert greatest["tflite_softmax"] == 0
    assert greatest["softmax"] == greatest["i_exp_softmax"] == 1
    assert greatest["softmax"] < greatest["shiftmax"] < greatest["ita_softmax"]
    assert greatest["gelu"] < greatest["i_gelu"] < greatest["shift_gelu"]
    assert measured["layer_norm"].differing < 0.002
    assert measured["gelu"].exhaustive
    assert measured["gelu"].inputs == 1 << 18
    assert not measured["shift_gelu"].exhaustive


def test_it_is_the_same_every_time_and_depends_on_the_seed() -> None:
    first, again, other = (compare(one) for one in (SMALL, SMALL, Setting(**(vars_of(SMALL) | {"seed": 1}))))
    assert [(one.greatest, one.differing) for one in first] == [(one.greatest, one.differing) for one in again]
    assert [one.differing for one in first] != [one.differing for one in other]


def vars_of(setting: Setting) -> dict[str, Any]:
    return {name: getattr(setting, name) for name in Setting.__dataclass_fields__}


def test_steps_count_values_of_a_format() -> None:
    fmt = pq.TwinSoftmax(4, 2)  # values 0 .. 7 of R1, then 8, 12, 16, 20, 24, 28 (and 4, shared with R1)
    codes = np.array([0, 7, 8 + 2, 8 + 7])
    assert units.steps(fmt, codes, [0, 0, 7, 0]).tolist() == [0, 7, 1, 13]
    assert units.steps(fmt, 8 + 1, 4).tolist() == 0
    assert units.greatest_error(fmt, codes, fmt.decode(codes)) == 0
    assert units.greatest_error(fmt, codes, np.zeros(4)) == 13


@pytest.mark.parametrize(("field", "value"), [("bits", 12), ("length", 1), ("acc_bits", 24), ("residual_bits", 4)])
def test_settings_out_of_range(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field} must be an integer from"):
        Setting(**{field: value})


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--bits", "6", "--shift", "4", "--length", "24", "--features", "16", "--acc-bits", "12"]
    assert main(["units", *options, "--residual-bits", "10", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)["units"]
    assert [one["unit"] for one in printed] == list(units.UNITS)
    for one, measured in zip(printed, compare(SMALL), strict=True):
        assert one["greatest_error"] == measured.greatest
        assert units.from_dict(one["constants"]) == measured.unit
        assert {name: width["bits"] for name, width in one["widths"].items()} == {
            name: width.bits for name, width in measured.unit.widths().items()
        }
    assert main(["units", *options]) == 0
    table = capsys.readouterr().out
    assert all(kind in table for kind in units.UNITS)
    assert main(["units", "layer_norm", *options]) == 0
    shown = capsys.readouterr()
    assert "scaled_squares" in shown.out
    assert "Greatest error 1" in shown.err
    assert main(["units", "layernorm"]) == 2
    assert "Did you mean 'layer_norm'?" in capsys.readouterr().err


def test_rows_reach_all_magnitudes() -> None:
    rows = comparison._rows(np.random.default_rng(0), 50, 12)
    deviations = rows.std(-1)
    assert deviations.min() < 8 < 300 < deviations.max()
    assert rows.min() >= -2048
    assert rows.max() <= 2047
