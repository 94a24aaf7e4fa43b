"""Widths of registers, from prefix sums by NumPy."""

from __future__ import annotations

from dataclasses import replace

import pytest

import ptqsim as pq
from analysis.framework.store import ArtifactStore
from analysis.framework.workload import Setting, Workload
from analysis.simulator.safe_width import SafeWidth
from analysis.simulator.width_accuracy import RegisterPoint, WidthAccuracy
from ptqsim import ptq
from ptqsim.ptq.network.products.operations import OperandFormats


@pytest.mark.parametrize(("operand", "shift"), [("softmax", 5), ("softmax", -1), ("gelu", 4)])
def test_the_width_that_is_exact(workload, operand, shift):
    curve = RegisterPoint(operand, shift, "wrap", 5, 8, 0.9).data(workload)["curve"]
    quantized = workload.quantized(Setting("ptq4vit" if shift >= 0 else "base_ptq", 5, 5))
    layers = [layer for layer in quantized.layers.values() if layer.a_kind == operand]
    seen = []
    for layer in layers:
        if shift >= 0:
            layer.formats = OperandFormats(tuple(replace(f, shift=shift) for f in layer.formats.a), layer.formats.b)
        layer.integer.recorder = lambda name, group, a, b, result: seen.append((a, b))
    quantized.mode, quantized.accumulator = "integer", pq.Accumulator(bits=40)
    logits = quantized(workload.validation.read(range(8))[0])
    low = high = 0
    for a, b in seen:
        sums = (a.aligned()[..., :, :, None] * b.aligned()[..., None, :, :]).cumsum(axis=-2)
        low, high = min(low, int(sums.min())), max(high, int(sums.max()))
    needed = next(p for p in range(1, 64) if -(2 ** (p - 1)) <= low and high < 2 ** (p - 1))
    assert curve.column("width")[0] == needed
    labels = workload.validation.read(range(8))[1]
    assert curve.column("top1")[0] == pytest.approx(100 * float((logits.argmax(1) == labels).double().mean()))


def test_only_registers_of_one_kind_are_narrow(workload, monkeypatch):
    used = []
    evaluate = ptq.evaluate

    def watched(model, data, **options):
        if isinstance(model, ptq.QuantizedModel) and not model.statistics:
            used.append({name: op.integer.accumulator for name, op in model.layers.items()})
        return evaluate(model, data, **options)

    monkeypatch.setattr(ptq, "evaluate", watched)
    curve = RegisterPoint("softmax", 5, "saturate", 5, 8, 0.0).data(workload)["curve"]
    narrow = curve.column("width")[1:]
    assert len(used) == len(narrow)
    for width, accumulators in zip(narrow, used, strict=True):
        for name, accumulator in accumulators.items():
            expected = (width, "saturate") if name.endswith("matmul_pv") else (48, "wrap")
            assert (accumulator.bits, accumulator.overflow) == expected


def test_a_table_of_curves(workload):
    made = WidthAccuracy(bits=5, images=8, softmax_shifts=(3,), gelu_shifts=(), modes=("wrap",), floor=2.0)
    data = made.compute(workload)
    assert data["curves"].column("shift") == [-1, 3, -1]
    assert [row[1] for row in made.printed(data).rows] == ["Uniform", "Twin, m=3", "Uniform"]


def test_safe_widths_of_a_file(tmp_path):
    """The same from a file as from a calibration; with the bundled model, which the file names."""
    with Workload(store=ArtifactStore(tmp_path / "cache"), images=2) as work:
        quantized = ptq.calibrate(
            work.network, work.calibration_images, method="base_ptq", w_bits=4, a_bits=4, n=2, captured=work.captured
        )
        quantized.info |= {"model": "vit_digits"}
        quantized.save(tmp_path / "model.safetensors")
        made = SafeWidth(calibrated=str(tmp_path / "model.safetensors"), observe=False)
        layers = made.compute(work)["layers"]
    for row in layers.records():
        bounds = quantized.layers[row["layer"]].bounds
        assert row["datatype"] == bounds["datatype"].bits
        assert row["weight_aware"] == (bounds["weight_aware"].bits if "weight_aware" in bounds else None)
        assert row["calibrated"] is None
    with pytest.raises(FileNotFoundError, match="there is no calibrated model at nowhere"):
        SafeWidth(calibrated="nowhere").key(work)
