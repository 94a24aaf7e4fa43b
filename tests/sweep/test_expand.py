"""From axes to points."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product

import pytest

from ptqsim.sweep.plan.planning import Plan
from ptqsim.sweep.study.expand import expand
from ptqsim.sweep.study.reading import parse_study
from tests.sweep.cases import SMALL


def test_every_combination_that_meets_the_conditions_once() -> None:
    study = parse_study("""
name: x
axes:
  model: vit_digits
  method: [base_ptq, ptq4vit]
  w_bits: [8, 6, 4]
  a_bits: [8, 6, 4]
  acc_bits: [12, 16, 20]
  overflow: [wrap, saturate]
require: w_bits <= a_bits
exclude: overflow == "saturate" and acc_bits > 12 and method == "base_ptq"
""")
    expected = {
        (m, w, a, p, o)
        for m, w, a, p, o in product(["base_ptq", "ptq4vit"], [8, 6, 4], [8, 6, 4], [12, 16, 20], ["wrap", "saturate"])
        if w <= a and not (o == "saturate" and p > 12 and m == "base_ptq")
    }
    points = expand(study)
    found = [
        (p.calibration.method, p.calibration.w_bits, p.calibration.a_bits, p.datapath.acc_bits, p.datapath.overflow)
        for p in points
        if p.calibration is not None
    ]
    assert len(found) == len(points) == len(expected)
    assert set(found) == expected


def test_what_changes_no_result_makes_no_point() -> None:
    study = parse_study("""
name: x
axes:
  model: vit_digits
  method: [base_ptq, ptq4vit]
  mode: [float, fake_quant, integer]
  acc_bits: [exact, 16]
  overflow: [wrap, saturate]
""")
    modes = [point.datapath.mode for point in expand(study)]
    assert modes.count("float") == 1
    assert modes.count("fake_quant") == 2  # one per method
    assert modes.count("integer") == 2 * (1 + 2)  # exact, and 16 bits in both overflow modes


def test_points_of_one_calibration_stand_together() -> None:
    calibrations = [point.calibration for point in expand(parse_study(SMALL))]
    changes = sum(one != other for one, other in pairwise(calibrations))
    assert changes + 1 == len(set(calibrations)) == 4


def test_no_point_is_an_error() -> None:
    with pytest.raises(ValueError, match="no point meets all conditions"):
        expand(parse_study(SMALL + "exclude: w_bits > 1\n"))


def test_keys_are_of_content(make_plan: Callable[[str], Plan]) -> None:
    plan = make_plan(SMALL)
    keys = [plan.key(point) for point in plan.points]
    assert len(set(keys)) == len(keys)
    same = make_plan(SMALL.replace("name: small", "name: other").replace("[wrap, saturate]", "[saturate, wrap]"))
    assert {same.key(point) for point in same.points} == set(keys)
    assert make_plan(SMALL.replace("to: 20}", "to: 21}")).key(plan.points[0]) == keys[0]


@pytest.mark.parametrize("changed", ["sha256", "validation_data", "calibration_data", "code"])
def test_other_models_data_or_code_are_other_work(make_plan: Callable[[str], Plan], changed: str) -> None:
    plan, other = make_plan(SMALL), make_plan(SMALL)
    if changed == "code":
        other.code = "other"
    else:
        other.sources = {"vit_digits": {**other.sources["vit_digits"], changed: "other"}}
    assert not {plan.key(p) for p in plan.points} & {other.key(p) for p in other.points}
