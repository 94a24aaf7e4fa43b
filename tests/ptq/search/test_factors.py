"""Candidates' products: in integers the reference's sums times both scales, in floats where there are no such codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

import ptqsim as pq
from ptqsim import ptq
from ptqsim.formats import ReleasedTwinSoftmax
from ptqsim.ptq.network.products.fake_quant import Format, fake_quantize
from ptqsim.ptq.search.outputs import products
from ptqsim.ptq.search.outputs.factors import CodedFactor, Factor, multiply, quantized, takes_integers

A: dict[str, tuple[Format, ...]] = {
    "uniform": tuple(pq.Uniform(6, scale=0.07 + 0.01 * g) for g in range(3)),
    "twin": tuple(pq.TwinSoftmax(8, shift=4) for _ in range(3)),
    "shifts differ": tuple(pq.TwinSoftmax(8, shift=m) for m in (2, 5, 11)),
    "gelu": tuple(pq.TwinGELU(5, shift=3, scale=0.01 * (g + 1)) for g in range(3)),
    "one for all": (pq.Uniform(8, scale=0.03),),
}
B: dict[str, tuple[Format, ...]] = {
    "activation": tuple(pq.Uniform(8, scale=0.02 + 0.001 * g) for g in range(3)),
    "one for all": (pq.Uniform(4, scale=0.2),),
}


def operands(formats: Sequence[Format], groups_b: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    a = torch.randn(3, 2, 7, 21, generator=generator)
    if isinstance(formats[0], pq.TwinSoftmax):
        a = (3 * a).softmax(dim=-1)
    return a, torch.randn(groups_b, 2, 21, 5, generator=generator)


@pytest.mark.parametrize("b_formats", B.values(), ids=B)
@pytest.mark.parametrize("a_formats", A.values(), ids=A)
def test_products_of_codes_are_the_sums_of_the_reference(
    a_formats: tuple[Format, ...], b_formats: tuple[Format, ...]
) -> None:
    a, b = operands(a_formats, 3)
    assert takes_integers(a, a_formats, b_formats)
    of_a, of_b = quantized(a, a_formats, True), quantized(b, b_formats, True)
    assert isinstance(of_a, CodedFactor)
    assert len(of_a.arrays) == (3 if len({fmt.shift for fmt in a_formats}) > 1 else 1)
    out = multiply(of_a, of_b, torch.empty(3, 2, 7, 5))
    for g in range(3):
        fa, fb = a_formats[g % len(a_formats)], b_formats[g % len(b_formats)]
        x, w = pq.quantize(a[g].numpy(), fa), pq.quantize(b[g].numpy(), fb)
        sums = np.array(pq.reference.matmul(x, w, None))
        expected = (sums * np.float64(fa.scale * fb.scale)).astype(np.float32)
        np.testing.assert_array_equal(out[g].numpy(), expected)
    in_floats = torch.matmul(fake_quantize(a, a_formats), fake_quantize(b, b_formats))
    torch.testing.assert_close(out, in_floats, rtol=1e-5, atol=1e-5)


def test_one_group_of_a_meets_every_group_of_a_weight() -> None:
    a, b = operands(A["uniform"], 3)
    a, b = a[:1].flatten(1, 2), b[:, 0]
    one, formats = quantized(a, A["uniform"][:1], True), B["activation"]
    out = multiply(one, quantized(b, formats, True), torch.empty(3, 14, 5))
    for g in range(3):
        alone = multiply(one, quantized(b[g : g + 1], formats[g : g + 1], True), torch.empty(1, 14, 5))
        assert torch.equal(out[g], alone[0])


@pytest.mark.parametrize(
    ("x", "formats"),
    [
        (torch.zeros(1, 3), (pq.Uniform(9, scale=1.0),)),
        (torch.zeros(1, 3), (ReleasedTwinSoftmax(bits=8, split=0.5),)),
        (torch.zeros(1, 3, dtype=torch.float64), (pq.Uniform(8, scale=1.0),)),
        (torch.zeros(1, 3, device="meta"), (pq.Uniform(8, scale=1.0),)),
    ],
    ids=["9 bits", "released", "float64", "not on the CPU"],
)
def test_what_has_no_bytes_is_multiplied_in_floats(x: torch.Tensor, formats: tuple[Format, ...]) -> None:
    assert not takes_integers(x, formats, (pq.Uniform(8, scale=1.0),))


@pytest.mark.parametrize("n", [30, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", ["ptq4vit", "base_ptq"])
def test_integers_and_floats_make_the_same_choices(method: str, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ptq.load_model("vit_digits")
    images = ptq.sample_images(ptq.load_data("digits", model, split="calibration"), 4, seed=3)
    multiplied = 0

    def counting(a: Factor, b: Factor, out: torch.Tensor) -> torch.Tensor:
        nonlocal multiplied
        multiplied += isinstance(a, CodedFactor)
        return multiply(a, b, out)

    monkeypatch.setattr(products, "multiply", counting)
    in_integers = ptq.calibrate(model, images, method=method, w_bits=5, a_bits=5, n=n)
    assert multiplied > 0
    multiplied = 0
    monkeypatch.setattr(products, "takes_integers", lambda *_: False)
    in_floats = ptq.calibrate(model, images, method=method, w_bits=5, a_bits=5, n=n)
    assert multiplied == 0
    for name, layer in in_integers.layers.items():
        assert layer.formats == in_floats.layers[name].formats, name


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        quantized(torch.tensor([[1.0, float("nan")]]), (pq.Uniform(8, scale=1.0),), True)
