"""The three modes of a calibrated model, its accumulators, and the proof by recomputation."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import ptqsim as pq
from ptqsim import ptq
from ptqsim.ptq.network.products import execute
from ptqsim.ptq.network.products.operations import OperandFormats


@pytest.fixture
def q(quantized: ptq.QuantizedModel) -> Iterator[ptq.QuantizedModel]:
    yield quantized
    quantized.mode = "fake_quant"
    quantized.statistics = False
    quantized.accumulator = pq.Accumulator(bits=32)
    for layer in quantized.layers.values():
        layer.integer.overflow = execute.OverflowCount()


def test_float_mode_is_the_network(q: ptq.QuantizedModel, model: torch.nn.Module, images: torch.Tensor) -> None:
    q.mode = "float"
    with torch.no_grad():
        assert torch.equal(q(images), model(images))


def test_one_format_for_all_groups_is_one_for_each(
    q: ptq.QuantizedModel, images: torch.Tensor, tmp_path: Path, model: torch.nn.Module
) -> None:
    """In every mode, bound and file: a single format is the same as a copy of it for every head or part of qkv."""
    one, each = copy.deepcopy(q), copy.deepcopy(q)
    for name in ("blocks.0.attn.qkv", "blocks.0.attn.matmul_qk", "blocks.1.attn.matmul_pv"):
        formats = q.layers[name].formats
        assert formats is not None
        one.layers[name].formats = OperandFormats(formats.a[-1:], formats.b[-1:])
        counts = q.layers[name].groups
        each.layers[name].formats = OperandFormats(formats.a[-1:] * counts[0], formats.b[-1:] * counts[1])
        assert one.layers[name].bounds == each.layers[name].bounds
    for mode in ("fake_quant", "integer"):
        one.mode = each.mode = q.mode = mode
        assert torch.equal(one(images), each(images))
        assert not torch.equal(one(images), q(images))
    assert float((one(images) - q(images)).norm() / q(images).norm()) < 0.1
    one.mode = "fake_quant"
    fake = one(images)
    one.mode = "integer"
    torch.testing.assert_close(one(images), fake, rtol=1e-3, atol=1e-4)  # as head 0's format for all would not
    assert all(check.mismatches == 0 for check in ptq.verify(one, images, outputs=80, batch=4).values())
    one.save(tmp_path / "one.safetensors")
    loaded = ptq.load(tmp_path / "one.safetensors", model)
    loaded.mode = "integer"
    assert torch.equal(loaded(images), one(images))


def test_formats_for_some_of_the_groups_are_refused(quantized: ptq.QuantizedModel) -> None:
    op = copy.deepcopy(quantized.layers["blocks.0.attn.qkv"])
    assert op.formats is not None
    with pytest.raises(
        ValueError, match=r"operand b of layer 'blocks\.0\.attn\.qkv' was given 2 formats; legal is 1 or 3"
    ):
        op.formats = OperandFormats(op.formats.a, op.formats.b[:2])
    with pytest.raises(ValueError, match=r"operand a of layer .* was given 0 formats; legal is 1:"):
        op.formats = OperandFormats((), op.formats.b)


def test_one_operation_in_integers_is_the_product_of_its_decoded_operands(q: ptq.QuantizedModel) -> None:
    """Against NumPy in float64, where the sums are exact up to the scale's own rounding."""
    rng = np.random.default_rng(0)
    for name, op in q.layers.items():
        formats = op.formats
        assert formats is not None
        weight = op.constant_b
        a = torch.from_numpy(rng.normal(0, 0.3, (len(formats.a), 7, 9, op.depth)).astype(np.float32))
        b = weight if weight is not None else torch.from_numpy(
            rng.normal(0, 1, (len(formats.b), 7, op.depth, 5)).astype(np.float32)
        )  # fmt: skip
        if weight is not None:
            a = a.flatten(1, 2)
        op.mode = "integer"
        got = op.product(a, b)
        for g in range(got.shape[0]):
            fa, fb = formats.a[g % len(formats.a)], formats.b[g % len(formats.b)]
            left = fa.decode(fa.encode(a[g % len(a)].numpy()))
            right = fb.decode(fb.encode(b[g % len(b)].numpy()))
            np.testing.assert_allclose(got[g].numpy(), left @ right, rtol=1e-6, atol=1e-9, err_msg=name)


def test_integer_mode_is_close_to_fake_quantization(q: ptq.QuantizedModel, images: torch.Tensor) -> None:
    fake = q(images)
    q.mode = "integer"
    integer = q(images)
    assert not torch.equal(integer, fake)  # float32 sums round, integer ones do not
    assert float((integer - fake).square().mean()) < 0.01 * float(fake.var())


@pytest.mark.parametrize("alignment", ["product", "operand", "deferred"])
@pytest.mark.parametrize("order", [pq.Sequential(), pq.Tree(lanes=5), pq.Split(tile=7, inner_bits=24)])
def test_every_wide_datapath_gives_the_same_logits(
    q: ptq.QuantizedModel, images: torch.Tensor, order: pq.Sequential, alignment: str
) -> None:
    q.mode = "integer"
    expected = q(images[:2])
    q.accumulator = pq.Accumulator(bits=40, overflow="saturate", order=order, alignment=alignment)
    assert torch.equal(q(images[:2]), expected)


def test_verify_recomputes_every_operation_on_a_narrow_datapath(q: ptq.QuantizedModel, images: torch.Tensor) -> None:
    for overflow in ("wrap", "saturate"):
        q.accumulator = pq.Accumulator(bits=11, overflow=overflow)
        checks = ptq.verify(q, images, outputs=80, batch=4)
        assert checks.keys() == q.layers.keys()
        assert all(check.outputs >= 80 and check.mismatches == 0 for check in checks.values())


def test_verify_catches_a_wrong_kernel(
    q: ptq.QuantizedModel, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = pq.matmul

    def off_by_one(*args: object, **options: object) -> pq.MatmulResult:
        result = right(*args, **options)  # type: ignore[arg-type]
        result.acc.flat[::50] += 1
        return result

    monkeypatch.setattr(pq, "matmul", off_by_one)
    checks = ptq.verify(q, images, outputs=80, batch=4)
    assert sum(check.mismatches for check in checks.values()) > 0
    assert any("instead of" in check.first for check in checks.values())


def test_verify_says_how_many_images_it_needs(q: ptq.QuantizedModel, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="give at least 100 images"):
        ptq.verify(q, images[:4], outputs=1000)


def test_one_layer_can_have_its_own_accumulator(q: ptq.QuantizedModel, images: torch.Tensor) -> None:
    q.mode = "integer"
    exact = q(images)
    q.accumulators["blocks.0.mlp.fc2"] = pq.Accumulator(bits=6)
    assert q.layers["blocks.0.mlp.fc2"].integer.accumulator.bits == 6
    assert q.layers["blocks.0.mlp.fc1"].integer.accumulator.bits == 32
    assert not torch.equal(q(images), exact)
    with pytest.raises(ValueError, match=r"blocks\.0\.mlp\.fc2"):
        q.accumulators["blocks.0.mlp.fc22"] = pq.Accumulator(bits=6)
    with pytest.raises(ValueError, match=r"attn\.qkv"):
        q.layer("blocks.0.attn.qkvv")
    with pytest.raises(ValueError, match="integer"):
        q.mode = "intger"
    assert q.mode is ptq.Mode.INTEGER


def test_statistics_and_bounds_agree(q: ptq.QuantizedModel, images: torch.Tensor) -> None:
    q.mode = "integer"
    q.statistics = True
    q.accumulator = pq.Accumulator(bits=10, overflow="saturate")
    q(images)
    for op in q.layers.values():
        seen = op.integer.overflow
        assert (seen.events > 0) == (seen.bits_needed > 10)
        assert seen.outputs <= seen.computed
        bounds = op.bounds
        expected = {"datatype", "calibrated"} | ({"weight_aware"} if op.constant_b is not None else set())
        assert bounds.keys() == expected | ({"row_stochastic"} if op.a_kind == "softmax" else set())
        for bound in bounds.values():
            assert seen.bits_needed <= bound.bits <= bounds["datatype"].bits
    assert any(op.integer.overflow.events for op in q.layers.values())


def test_a_theorem_s_width_never_overflows(q: ptq.QuantizedModel, images: torch.Tensor) -> None:
    q.mode = "integer"
    q.statistics = True
    for name, op in q.layers.items():
        tightest = min(b.bits for b in op.bounds.values() if b.kind == "theorem")
        q.accumulators[name] = pq.Accumulator(bits=tightest, overflow="trap")
    q(images)
    assert all(op.integer.overflow.events == 0 for op in q.layers.values())


def test_a_trap_names_the_layer(q: ptq.QuantizedModel, images: torch.Tensor) -> None:
    q.mode = "integer"
    q.accumulators["blocks.1.attn.matmul_pv"] = pq.Accumulator(bits=5, overflow="trap")
    with pytest.raises(pq.AccumulatorOverflowError, match=r"layer 'blocks\.1\.attn\.matmul_pv', group 0"):
        q(images)


def test_layers_without_formats_do_not_run(model: torch.nn.Module, images: torch.Tensor) -> None:
    fresh = ptq.QuantizedModel(model)
    fresh.mode = "integer"
    with pytest.raises(ValueError, match="calibrate the model first"):
        fresh(images)
