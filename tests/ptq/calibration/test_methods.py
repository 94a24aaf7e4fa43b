"""Every method on one small network: formats, objectives, paradigms, variants and their options."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.formats import ReleasedTwinGELU, ReleasedTwinSoftmax
from ptqsim.ptq.calibration.methods import make_method
from ptqsim.ptq.calibration.methods.percentile import magnitude_percentile
from ptqsim.ptq.network.products.fake_quant import fake_quantize
from ptqsim.ptq.search.candidates import linear_ratios, released_ratios
from tests.ptq import names

FEW = {"n": 6}


def few(method: str) -> dict[str, object]:
    if method == "reconstruct":
        return {**FEW, "iterations": 2}
    return {} if method == "percentile" else dict(FEW)


@pytest.mark.filterwarnings("ignore:.*weights to be rounded")
@pytest.mark.parametrize("method", names.METHODS)
@pytest.mark.parametrize("paradigm", ["parallel", "sequential"])
def test_every_method_runs_in_both_paradigms_and_comes_back_from_disk(
    model: nn.Module, images: torch.Tensor, method: str, paradigm: str, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    q = ptq.calibrate(
        model, images, method=method, w_bits=5, a_bits=4, paradigm=paradigm, bias_correction=True, **few(method)
    )
    for op in q.layers.values():
        assert op.formats is not None
        assert {f.bits for f in op.formats.a} == {4}
        assert {f.bits for f in op.formats.b} == {4 if op.constant_b is None else 5}
        assert op.depth > 0
    assert torch.isfinite(q(images)).all()
    q.save(tmp_path / "q.safetensors")
    loaded = ptq.load(tmp_path / "q.safetensors", model)
    for mode in ("fake_quant", "integer", "float"):
        q.mode = loaded.mode = mode  # type: ignore[assignment]
        assert torch.equal(loaded(images), q(images))
    assert loaded.info["options"]["bias_correction"] is True


def test_percentiles_are_those_of_the_sorted_magnitudes() -> None:
    x = torch.randn(999, generator=torch.Generator().manual_seed(0))
    ordered = np.sort(np.abs(x.numpy()))
    for percentile in (0.1, 50.0, 99.0, 99.9, 100.0):
        expected = next(m for m in ordered if (ordered <= m).mean() >= percentile / 100 - 1e-12)
        assert magnitude_percentile(x, percentile) == pytest.approx(float(expected))


def test_percentile_clips_activations_only(model: nn.Module, images: torch.Tensor) -> None:
    q = ptq.calibrate(model, images, method="percentile", w_bits=6, a_bits=6, a_percentile=90.0)
    with ptq.capture(model, images, gradient=None) as captured:
        for name in ("blocks.0.mlp.fc1", "blocks.1.attn.matmul_qk"):
            op, data = q.layers[name], captured[name]
            assert op.formats is not None
            top = magnitude_percentile(data.a[0], 90.0)
            assert op.formats.a[0].scale == pytest.approx(top / 32)
            last = (
                float(data.b[-1].abs().max()) if op.constant_b is not None else magnitude_percentile(data.b[-1], 90.0)
            )
            assert op.formats.b[-1].scale == pytest.approx(last / 32)


def test_easyquant_searches_weights_first(model: nn.Module, images: torch.Tensor) -> None:
    """Its first choice of a weight scale is the best against activations at their maximum: recomputed by NumPy."""
    q = ptq.calibrate(model, images, method="easyquant", w_bits=3, a_bits=3, n=8, rounds=1, paradigm="parallel")
    with ptq.capture(model, images, gradient=None) as captured:
        data = captured["blocks.0.mlp.fc1"]
    a, b, out = (x[0].double().numpy() for x in (data.a, data.b, data.out))

    def rounded(x: np.ndarray, ratio: float) -> np.ndarray:
        scale = np.float32(ratio * np.abs(x).max() / 4)
        return np.clip(np.rint(x / scale), -4, 3) * scale

    ratios = linear_ratios(0.5, 1.2, 8)
    cosines = [
        (out * (o := rounded(a, 1.0) @ rounded(b, r))).sum() / np.sqrt((out**2).sum() * (o**2).sum()) for r in ratios
    ]
    found = q.layers["blocks.0.mlp.fc1"].report["b_normalized"]
    assert found == pytest.approx([ratios[int(np.argmax(cosines))]])


def test_liu_ranks_the_scores_and_only_them(model: nn.Module, images: torch.Tensor) -> None:
    for ranking in (True, False):
        q = ptq.calibrate(model, images, method="liu2021", w_bits=4, a_bits=4, ranking=ranking, **FEW)
        for op in q.layers.values():
            expected = "ranking" if ranking and op.kind == "matmul_qk" else "similarity"
            assert op.report["objective"] == expected


def test_in_sequence_a_layer_sees_the_quantized_layers_before_it(model: nn.Module, images: torch.Tensor) -> None:
    """Replayed by hand: every layer searched on the inputs that the already quantized network gives it."""
    from ptqsim.ptq.calibration.layer import calibrate_layer
    from ptqsim.ptq.search.capture import OperationData

    method = make_method("base_ptq", {"n": 6, "paradigm": "sequential"})
    q = ptq.calibrate(model, images, method="base_ptq", w_bits=3, a_bits=3, paradigm="sequential", n=6)
    by_hand = ptq.QuantizedModel(model)
    with ptq.capture(model, images, gradient=None) as exact:
        for name, op in by_hand.layers.items():
            seen: dict[str, torch.Tensor] = {}
            op.observer = lambda op, a, b, out, seen=seen: seen.update(a=a, b=b)
            by_hand(images)
            op.observer = None
            data = OperationData(seen["a"], seen["b"], exact[name].out, None, len(images))
            calibrate_layer(op, data, method, 3, 3).apply(op)
            op.mode = "fake_quant"
    for name, op in q.layers.items():
        assert op.formats == by_hand.layers[name].formats, name
    parallel = ptq.calibrate(model, images, method="base_ptq", w_bits=3, a_bits=3, n=6)
    assert any(op.formats != parallel.layers[name].formats for name, op in q.layers.items())


def test_the_number_of_threads_changes_no_sequence(model: nn.Module, images: torch.Tensor) -> None:
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            q = ptq.calibrate(model, images, method="easyquant", w_bits=4, a_bits=4, **FEW)
            assert torch.get_num_threads() == threads
            found.append({name: op.formats for name, op in q.layers.items()})
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def released(model: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    return ptq.calibrate(model, images, method="ptq4vit", variant="released", w_bits=6, a_bits=6, n=12)


def test_released_formats(released: ptq.QuantizedModel) -> None:
    for op in released.layers.values():
        assert op.formats is not None
        if op.a_kind == "softmax":
            assert len(op.formats.a) == 1  # one split for all heads
            assert isinstance(op.formats.a[0], ReleasedTwinSoftmax)
            assert np.log2(op.formats.a[0].split) in range(-19, 1)
        elif op.a_kind == "gelu":
            fmt = op.formats.a[0]
            assert isinstance(fmt, ReleasedTwinGELU)
            assert fmt.scale == pytest.approx(0.16997124254703522 / 2**5)
        else:
            assert all(isinstance(f, pq.Uniform) for f in op.formats.a)
    assert released.info["variant"] == "released"


def test_released_candidates_leave_beta_out() -> None:
    ratios = released_ratios(0.01, 1.2, 100)
    assert (len(ratios), ratios[0]) == (100, 0.01)
    assert ratios[-1] == pytest.approx(1.2 - 1.19 / 100)


def test_released_split_is_searched_against_the_float_b(model: nn.Module, images: torch.Tensor) -> None:
    q = ptq.calibrate(model, images, variant="released", w_bits=4, a_bits=4, n=5)
    name = "blocks.0.attn.matmul_pv"
    with ptq.capture(model, images, gradient="released") as captured:
        data = captured[name]
    assert data.grad is not None
    scores = []
    for i in range(20):
        fmt = ReleasedTwinSoftmax(bits=4, split=2.0**-i)
        error = torch.from_numpy(fmt.fake_quantize(data.a.numpy())) @ data.b - data.out
        scores.append(float((error.double() * data.grad.double()).square().sum()))
    formats = q.layers[name].formats
    assert formats is not None
    assert formats.a[0].split == 2.0 ** -int(np.argmin(scores))  # type: ignore[union-attr]


@pytest.mark.parametrize("bits", [3, 8])
def test_released_fake_quantization_is_the_formats_own(bits: int) -> None:
    generator = torch.Generator().manual_seed(bits)
    x = torch.rand(3, 5, 400, generator=generator) ** 4
    splits = [ReleasedTwinSoftmax(bits=bits, split=2.0**-i) for i in (0, 3, 9)]
    gelu = torch.nn.functional.gelu(3 * torch.randn(2, 1000, generator=generator))
    pairs = [ReleasedTwinGELU(bits, 0.01, s) for s in (0.03, 0.2)]
    for values, formats in ((x, splits), (gelu, pairs)):
        found = fake_quantize(values, formats)  # type: ignore[arg-type]
        for part, fmt, expected in zip(found, formats, values, strict=True):
            assert np.array_equal(part.numpy(), fmt.fake_quantize(expected.numpy()))  # type: ignore[attr-defined]


def test_released_models_run_and_come_back_but_not_in_integers(
    released: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    released.save(tmp_path / "r.safetensors")
    loaded = ptq.load(tmp_path / "r.safetensors", model)
    assert torch.equal(loaded(images), released(images))
    loaded.mode = "integer"
    with pytest.raises(ValueError, match="no shift aligns it"):
        loaded(images[:1])
