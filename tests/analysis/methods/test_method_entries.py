"""The lines of the comparison of all methods."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from analysis.methods import point
from analysis.methods.entries import ENTRIES, Entry, entry
from ptqsim import ptq
from ptqsim.ptq.calibration.methods import METHODS, VARIANTS, make_method


def test_every_line_is_a_method_with_options_of_its_own():
    assert len({entry.label for entry in ENTRIES.values()}) == len(ENTRIES)
    assert len({json.dumps(entry.key(), sort_keys=True) for entry in ENTRIES.values()}) == len(ENTRIES)
    for line in ENTRIES.values():
        make_method(line.method, line.options, line.variant)
        line.mixed_precision()


def test_every_method_and_variant_has_a_line():
    assert {line.method for line in ENTRIES.values()} == set(METHODS)
    assert {(line.method, line.variant) for line in ENTRIES.values()} >= set(VARIANTS)


def test_an_unknown_line_is_named():
    with pytest.raises(ValueError, match=r"Did you mean 'ptq4vit\.bias'"):
        entry("ptq4vit.bais")


def test_everything_that_a_line_says_reaches_the_calibration(workload, monkeypatch):
    given = {}

    def calibrate(network, images, **arguments):
        given.update(arguments)

    monkeypatch.setattr(point.ptq, "calibrate", calibrate)
    line = Entry(
        "x",
        "X",
        "ptq4vit",
        {"n": 3},
        "paper",
        {"solver": "milp"},
        (ptq.Smoothing(),),
        "channel",
        False,
        (("gelu", "e3m4"),),
    )
    assert all(getattr(line, field.name) != field.default for field in fields(Entry) if field.name != "variant")
    point.calibrated(workload, line, 5, "")
    assert (given["method"], given["variant"], given["n"], given["w_bits"], given["a_bits"]) == (
        "ptq4vit",
        "paper",
        3,
        5,
        5,
    )
    assert given["mixed_precision"] == ptq.MixedPrecision(solver="milp")
    assert given["folds"] == (ptq.Smoothing(),)
    assert (given["w_granularity"], given["a_symmetric"], given["formats"]) == ("channel", False, {"gelu": "e3m4"})


@pytest.mark.parametrize("name", ptq.PRESETS)
def test_the_line_of_a_preset_is_the_preset(name, workload, monkeypatch):
    given = {}
    monkeypatch.setattr(point.ptq, "calibrate", lambda network, images, **arguments: given.update(arguments))
    line = Entry.of_preset(ptq.preset(name))
    point.calibrated(workload, line, 4, "")
    arguments = ptq.preset(name).arguments()
    assert make_method(given["method"], line.options, given["variant"]) == arguments.pop("method")
    assert {key: given[key] for key in arguments} == arguments
