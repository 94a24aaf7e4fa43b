"""The lines of the comparison of all methods."""

from __future__ import annotations

import json

import pytest

from analysis.methods.entries import ENTRIES, entry
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
