"""Candidates of formats that were named."""

from __future__ import annotations

import pytest
import torch

import ptqsim as pq
from ptqsim.formats.blocks.named import BLOCKS
from ptqsim.ptq.search.operand_formats import KINDS, NAMED_FORMATS

X = torch.tensor([[[0.5, -3.0, 1.0]], [[0.25, 0.125, -0.75]]])
RATIOS = (0.5, 1.0)


@pytest.mark.parametrize("name", ["e4m3", "e5m2", "e3m4", "e3m2", "e2m3", "e2m1"])
def test_the_largest_number_of_a_small_float_covers_a_multiple_of_the_greatest_value(name: str) -> None:
    space = NAMED_FORMATS[name].candidates(X, "activation", 4, RATIOS, "a")
    exponent, mantissa = int(name[1]), int(name[3])
    for chosen, ratio in enumerate(RATIOS):
        formats = space.choose([chosen, chosen])
        assert [fmt.bits for fmt in formats] == [1 + exponent + mantissa] * 2
        assert all(isinstance(fmt, pq.Minifloat) for fmt in formats)
        assert [fmt.real_max for fmt in formats] == pytest.approx([3.0 * ratio, 0.75 * ratio])
        assert space.choose_normalized([chosen, chosen]) == (ratio, ratio)


def test_zeros_have_a_scale() -> None:
    (fmt,) = NAMED_FORMATS["e4m3"].candidates(torch.zeros(1, 2, 3), "weight", 8, [1.0], "a").choose([0])
    assert fmt.fake_quantize([0.0]).tolist() == [0.0]


@pytest.mark.parametrize(("name", "root"), [("log2", 1), ("log_sqrt2", 2), ("log_root4", 4)])
def test_logarithms_have_no_scale_to_choose(name: str, root: int) -> None:
    space = NAMED_FORMATS[name].candidates(X.abs(), "softmax", 4, RATIOS, "a")
    assert len(space) == 1
    assert space.choose([0, 0]) == (pq.Log2(4, root=root),) * 2


@pytest.mark.parametrize(("bits", "roots"), [(4, [1, 2, 4]), (6, [2, 4]), (7, [4])])
def test_adaptive_logarithms_have_every_base_that_a_datapath_takes(bits: int, roots: list[int]) -> None:
    space = NAMED_FORMATS["adaptive_log"].candidates(X.abs(), "softmax", bits, RATIOS, "a")
    assert [space.choose([c, c])[0] for c in range(len(space))] == [pq.Log2(bits, root=root) for root in roots]
    assert NAMED_FORMATS["adaptive_log"].most_bits == 7


def test_uniform_and_twin_formats_are_those_of_the_methods() -> None:
    (fmt, _) = NAMED_FORMATS["uniform"].candidates(X, "gelu", 4, [1.0], "a").choose([0, 0])
    assert fmt == pq.Uniform(bits=4, scale=3.0 / 8)
    space = NAMED_FORMATS["asymmetric"].candidates(X, "activation", 4, [1.0], "a")
    lone = NAMED_FORMATS["asymmetric"].candidates(X.abs(), "softmax", 4, [1.0], "a")
    assert len(space) > len(lone) == 1  # zero points are searched, but after softmax
    assert lone.choose([0, 0])[0].zero_point == 0
    twin = NAMED_FORMATS["twin"].candidates(X, "softmax", 4, [1.0], "a")
    assert [fmt.shift for fmt in (twin.choose([c, c])[0] for c in range(len(twin)))] == list(range(1, 12))
    assert isinstance(NAMED_FORMATS["twin"].candidates(X, "gelu", 4, [1.0], "a").choose([0, 0])[0], pq.TwinGELU)


def test_kinds() -> None:
    for name, named in NAMED_FORMATS.items():
        assert named.name == name
        assert set(named.kinds) <= set(KINDS)
    assert [name for name, named in NAMED_FORMATS.items() if "weight" in named.kinds] == [
        "uniform", "e4m3", "e5m2", "e3m4", "e3m2", "e2m3", "e2m1", *BLOCKS,
    ]  # fmt: skip
