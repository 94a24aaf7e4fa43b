"""From axes to points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, product

import pytest

from ptqsim.ptq.calibration.operand_rules import read_kinds
from ptqsim.sweep.plan.planning import Plan
from ptqsim.sweep.plan.questions import questions
from ptqsim.sweep.study.expand import expand
from ptqsim.sweep.study.point import Calibration, Datapath, Point, columns_of, identity, plain, point_of_row
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


def test_granularity_and_symmetry_are_axes_and_conditions(make_plan: Callable[..., Plan]) -> None:
    text = """
name: x
axes:
  model: vit_digits
  method: percentile
  w_granularity: [tensor, channel]
  a_symmetric: [true, false]
require: a_symmetric or w_granularity == "channel"
"""
    calibrations = [point.calibration for point in expand(parse_study(text))]
    found = [(c.w_granularity, c.a_symmetric) for c in calibrations if c is not None]
    assert found == [("tensor", True), ("channel", True), ("channel", False)]
    plan = make_plan(text)
    tasks = [plan.calibration_task(calibration) for calibration in plan.calibrations()]
    assert [(task.payload["w_granularity"], task.payload["a_symmetric"]) for task in tasks] == found
    assert len({task.key for task in tasks}) == 3


def test_the_layout_of_the_papers_leaves_keys_as_they_were() -> None:
    calibration = Calibration("m", "percentile", 8, 6, 0, 32)
    assert identity(calibration) == {
        "model": "m", "method": "percentile", "w_bits": 8, "a_bits": 6, "seed": 0, "images": 32,
    }  # fmt: skip
    other = Calibration("m", "percentile", 8, 6, 0, 32, "channel", False, "gelu=e3m4")
    layout = {"w_granularity": "channel", "a_symmetric": False, "formats": "gelu=e3m4"}
    assert identity(other) == identity(calibration) | layout


def test_formats_are_an_axis(make_plan: Callable[..., Plan]) -> None:
    text = """
name: x
axes:
  model: vit_digits
  method: percentile
  formats: [method, {weight: e4m3, gelu: e3m4}]
exclude:
  - formats == "gelu=e3m4,weight=e4m3" and w_bits == 6
"""
    plan = make_plan(text)
    tasks = [plan.calibration_task(calibration) for calibration in plan.calibrations()]
    found = [task.payload["formats"] for task in tasks]
    assert found == ["method", "gelu=e3m4,weight=e4m3"]
    assert [read_kinds(text) for text in found] == [{}, {"gelu": "e3m4", "weight": "e4m3"}]
    assert len({task.key for task in tasks}) == 2


def test_blocks_have_no_accumulator(make_plan: Callable[..., Plan]) -> None:
    text = """
name: x
axes:
  model: vit_digits
  method: percentile
  formats: [method, {softmax: mxint8}]
"""
    tasks = list(make_plan(text).calibrations())
    assert [one.formats for one in tasks] == ["method", "softmax=mxint8"]
    for more in ("  acc_bits: [exact, 20]\n", "ask: [{narrowest: acc_bits}]\n"):
        with pytest.raises(ValueError, match="'softmax=mxint8' have blocks, which are summed in float32"):
            list(questions(make_plan(text + more).study))
    condition = 'exclude: [formats == "softmax=mxint8" and acc_bits == 20]\n'
    assert len(list(make_plan(text + "  acc_bits: [exact, 20]\n" + condition).calibrations())) == 2


UNITS = """
name: x
axes:
  model: vit_digits
  method: percentile
  mode: [integer, integer_only]
  residual_bits: [16, 8]
  residual_scale: [free, one]
  softmax: [softmax, "softmax,table_bits=8,entries=16", {kind: shiftmax}]
  gelu: {bits: 10}
  layer_norm: {precision: 12}
exclude: (residual_bits == 8 or residual_scale == "one") and softmax != "softmax"
"""


def test_units_are_axes_of_integer_only_networks_alone(make_plan: Callable[..., Plan]) -> None:
    plan = make_plan(UNITS)
    calibrated = [(p.datapath.mode, c) for p in plan.points if (c := p.calibration) is not None]
    found = [(mode, c.residual_bits, c.residual_scale, c.softmax) for mode, c in calibrated]
    assert found == [
        ("integer", None, None, None), ("integer_only", 16, "free", "softmax"),
        ("integer_only", 16, "free", "softmax,entries=16,table_bits=8"), ("integer_only", 16, "free", "shiftmax"),
        ("integer_only", 16, "one", "softmax"), ("integer_only", 8, "free", "softmax"),
        ("integer_only", 8, "one", "softmax"),
    ]  # fmt: skip
    calibrations = plan.calibrations()
    assert {(c.gelu, c.layer_norm) for c in calibrations[1:]} == {("gelu,bits=10", "layer_norm,precision=12")}
    assert {c.base for c in calibrations} == {calibrations[0]}
    tasks = [plan.calibration_task(calibration) for calibration in calibrations]
    assert len({task.payload["file"] for task in tasks}) == 7
    assert {task.payload["base"] for task in tasks} == {tasks[0].payload["file"]}
    # a study without integer-only networks keeps its keys
    assert identity(calibrations[0]).keys() == {"model", "method", "w_bits", "a_bits", "seed", "images"}


@pytest.mark.parametrize("shift", ["softmax_shift: 3", "gelu_shift: 2"])
def test_codes_of_an_integer_only_network_have_no_other_shifts(shift: str) -> None:
    text = f"name: x\naxes:\n  model: vit_digits\n  method: percentile\n  mode: integer_only\n  {shift}\n"
    with pytest.raises(ValueError, match="integer_only was combined with a shift"):
        expand(parse_study(text))


@pytest.mark.parametrize(
    ("axis", "says"),
    [
        ("softmax: hardmax", "hardmax"), ("softmax: {kind: softmax, steps: 3}", "steps"), ("gelu: 3", "gelu is 3"),
        ("softmax: 'softmax,entries'", "no option of a unit"), ("residual_bits: 17", "residual_bits"),
        ("residual_scale: two", "residual_scale"), ("residual_scale: 0.5", "residual_scale"),
        ("layer_norm: {root: newton, precise: 8}", "precise"), ("softmax: {score_bits: 40}", "score_bits"),
    ],
)  # fmt: skip
def test_units_that_are_none(axis: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_study(f"name: x\naxes:\n  model: vit_digits\n  method: percentile\n  {axis}\n")


@pytest.mark.parametrize("stored", [("channel", 0, "gelu=twin"), ("tensor", 1, "method"), (None, None, None)])
def test_a_stored_row_gives_its_point(stored: tuple[str | None, int | None, str | None]) -> None:
    layout = stored[0] or "tensor", stored[1] != 0, stored[2] or "method"
    calibration = Calibration("m", "percentile", 8, 6, 0, 32, *layout)
    columns = columns_of(plain(calibration))
    columns |= dict(zip(("w_granularity", "a_symmetric", "formats"), stored, strict=True))
    row = {"calibration": "k", **columns, **plain(Datapath()), "evaluation_images": 5}
    assert point_of_row(row) == Point("m", calibration, Datapath(), 5)
    units = {"residual_bits": 12, "softmax": "shiftmax", "gelu": "gelu", "layer_norm": "layer_norm"}
    made = replace(calibration, **units, residual_scale="free")
    assert point_of_row(row | units) == Point("m", made, Datapath(), 5)  # of a store without the column
    other = replace(made, residual_scale="one")
    assert point_of_row(row | units | {"residual_scale": "one"}) == Point("m", other, Datapath(), 5)
    assert identity(made) == identity(replace(calibration, **units))  # whose key was made before there was a choice
    assert identity(other)["residual_scale"] == "one"
