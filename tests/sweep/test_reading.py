"""A study file: what it means, and errors with line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptqsim.sweep.study.reading import parse_study, read_study

GOOD = """\
name: good
data: digits
axes:
  model: [vit_digits]
  method: [base_ptq, {name: ptq4vit, options: {gradient: random}}]
  w_bits: [8, 6]
  a_bits: [8, 6]
  acc_bits: [exact, {from: 12, to: 16, step: 2}]
  overflow: [wrap, saturate]
require: w_bits == a_bits
exclude:
  - overflow == "saturate" and acc_bits > 20
ask:
  - narrowest: acc_bits
    within: 0.1
    scope: layer
    where: method == "base_ptq"
"""


def test_a_single_value_is_a_list_of_one_and_ranges_are_counted() -> None:
    study = parse_study(GOOD)
    assert study.axes.acc_bits == ["exact", 12, 14, 16]
    assert study.require == ["w_bits == a_bits"]
    assert [choice.called for choice in study.axes.method] == ["base_ptq", "ptq4vit(gradient=random)"]
    assert study.axes.seed == [0]


@pytest.mark.parametrize(
    ("right", "wrong", "place", "told"),
    [
        ("w_bits: [8", "w_bit: [8", "6:3", "unknown axis 'w_bit'.*Did you mean 'w_bits'"),
        ("a_bits: [8, 6]", "a_bits: [8, 60]", "7:15", "from 2 to 16, got 60"),
        ("a_bits: [8, 6]", "a_bits: [8, 6.0]", "7:15", "from 2 to 16, got 6.0"),
        ("a_bits: [8, 6]", "w_granularity: row", "7:18", "unknown w_granularity 'row'"),
        ("a_bits: [8, 6]", "a_symmetric: [perhaps]", "7:17", "a switch is 'perhaps'; legal are true and false"),
        ("a_bits: [8, 6]", "formats: [{gelu: e3m5}]", "7:13", "unknown format 'e3m5'.*e3m4"),
        ("a_bits: [8, 6]", "formats: [method, e3m4]", "7:21", "legal are 'method' and a mapping such as"),
        ("gradient: random", "gradient: randm", "5:22", "unknown gradient 'randm'.*Did you mean 'random'"),
        ("{gradient:", "{gradien:", "5:22", "unknown option of method 'ptq4vit' 'gradien'.*Did you mean 'gradient'"),
        ("saturate]", "saturat]", "9:20", "unknown overflow mode 'saturat'.*Did you mean 'saturate'"),
        ("w_bits ==", "w_bitz ==", "10:10", "unknown axis 'w_bitz'.*Did you mean 'w_bits'"),
        ("acc_bits > 20", "acc_bits ** 20", "12:5", "can't be used; legal are"),
        ("narrowest: acc_bits", "narrowest: bits", "14:16", "unknown quantity of a question 'bits'"),
        ("scope:", "scop:", "16:5", "unknown key 'scop'.*Did you mean 'scope'"),
        ("where: method", "where: mode", "17:12", "unknown axis 'mode'"),
        ("name: good", "nam: good", "1:1", "unknown key 'nam'.*Did you mean 'name'"),
        ("  model: [vit_digits]\n", "", "3:1", "axes.model is missing"),
        ("vit_digits", "vit_digit", "4:11", "unknown model 'vit_digit'.*Did you mean 'vit_digits'"),
        ("to: 16", "too: 16", "8:3", "unknown key of a range 'too'.*Did you mean 'to'"),
        ("from: 12", "from: 17", "8:3", "range from 17 to 16 by 2 is empty"),
        ("base_ptq, {", "base_pt, {", "5:12", "unknown method 'base_pt'.*Did you mean 'base_ptq'"),
        ("within: 0.1", "within: much", "15:13", "ask.0.within is 'much'"),
        ("wrap, saturate", "wrap, wrap", "3:1", "axis 'overflow' has 'wrap' twice"),
        ("data: digits", "data: {", "4:8", "no YAML"),
        ("data: digits", "name: other", "2:1", "no YAML: found duplicate key"),
        ("[wrap, saturate]", "[]", "9:3", "an axis without values"),
        ("name: good", "name: a b", "1:7", "name is 'a b'"),
    ],
)
def test_errors_name_line_column_and_what_is_legal(right: str, wrong: str, place: str, told: str) -> None:
    assert right in GOOD
    with pytest.raises(ValueError, match=f"^study.yaml:{place}: .*{told}"):
        parse_study(GOOD.replace(right, wrong, 1), "study.yaml")


def test_a_study_is_a_mapping() -> None:
    with pytest.raises(ValueError, match="a study is a mapping"):
        parse_study("- 1\n- 2\n")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no study"):
        read_study(tmp_path / "none.yaml")
