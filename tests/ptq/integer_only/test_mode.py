"""Integer-only mode of a calibrated model: equality with the reference, determinism, files, refusals."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.integer_only import Apply, execute, reference
from ptqsim.integer_only.program import Program
from ptqsim.ptq.integer_only.options import GELUS, SOFTMAXES


def test_logits_are_near_those_of_integer_mode(
    integer_only: ptq.QuantizedModel, images: torch.Tensor, pixels: torch.Tensor
) -> None:
    logits = integer_only.logits(images)
    assert torch.equal(logits, integer_only(pixels).double() * integer_only.logit_scale)
    integer_only.mode = "integer"
    expected = integer_only.logits(images)
    integer_only.mode = "integer_only"
    assert float((logits - expected).abs().max()) < 0.05 * float(expected.abs().max())


def test_every_edge_of_an_image_equals_the_reference(integer_only: ptq.QuantizedModel, pixels: torch.Tensor) -> None:
    check = ptq.verify_images(integer_only, pixels[:1])
    assert check.outputs > 10_000
    assert check.mismatches == 0


def test_units_are_recomputed(integer_only: ptq.QuantizedModel, pixels: torch.Tensor) -> None:
    checks = ptq.verify_units(integer_only, pixels[:4], outputs=100, batch=2)
    plan = integer_only.required_plan()
    assert list(checks) == [step.name for step in plan.steps if isinstance(step, Apply)]
    assert all(check.outputs >= 100 and check.mismatches == 0 for check in checks.values())


def test_a_wrong_kernel_is_found(
    integer_only: ptq.QuantizedModel, pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptqsim.units import GELU

    right = GELU.unchecked
    monkeypatch.setattr(GELU, "unchecked", lambda self, rows: right(self, rows) ^ 1)
    checks = ptq.verify_units(integer_only, pixels[:1], outputs=50)
    assert {name for name, check in checks.items() if check.mismatches} == {"blocks.0.mlp.act", "blocks.1.mlp.act"}
    assert "instead of" in checks["blocks.0.mlp.act"].first
    assert ptq.verify_images(integer_only, pixels[:1]).first.startswith("image 0, blocks.0.mlp.act")


def test_a_wrong_program_is_found(
    integer_only: ptq.QuantizedModel, pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Program.__call__
    monkeypatch.setattr(Program, "__call__", lambda self, images: right(self, images) ^ 1)
    check = ptq.verify_images(integer_only, pixels[:1])
    assert check.first.startswith("image 0, logits of the program")


@pytest.mark.parametrize("threads", [1, 2])
def test_bits_depend_on_neither_threads_nor_batch(
    integer_only: ptq.QuantizedModel, pixels: torch.Tensor, threads: int
) -> None:
    before = pq.get_num_threads()
    pq.set_num_threads(threads)
    try:
        together = integer_only(pixels)
        assert torch.equal(together, torch.cat([integer_only(pixels[i : i + 3]) for i in range(0, len(pixels), 3)]))
        assert torch.equal(together[:2], integer_only(pixels[:2]))
    finally:
        pq.set_num_threads(before)


def test_a_file_gives_the_same_network(
    integer_only: ptq.QuantizedModel, pixel_model: nn.Module, pixels: torch.Tensor, tmp_path: Path
) -> None:
    integer_only.save(tmp_path / "m.safetensors")
    again = ptq.load(tmp_path / "m.safetensors", pixel_model)
    again.mode = "integer_only"
    assert torch.equal(again(pixels), integer_only(pixels))
    assert again.edges == integer_only.edges
    assert again.info["integer_only"]["residual_bits"] == 16


def test_accumulators_and_their_counters_hold_in_integer_only_mode(
    integer_only: ptq.QuantizedModel, pixels: torch.Tensor
) -> None:
    exact = integer_only(pixels[:2])
    before = integer_only.accumulator
    integer_only.accumulator, integer_only.statistics = pq.Accumulator(bits=12, overflow="wrap"), True
    try:
        assert not torch.equal(integer_only(pixels[:2]), exact)
        assert integer_only.layers["blocks.0.mlp.fc2"].integer.overflow.outputs > 0
    finally:
        integer_only.accumulator, integer_only.statistics = before, False  # type: ignore[assignment]


@pytest.mark.parametrize(
    "options",
    [
        {"softmax": "shiftmax", "gelu": "shift_gelu", "residual_bits": 8},
        {"softmax": {"kind": "i_exp_softmax"}, "gelu": {"kind": "i_gelu", "bits": 10}, "residual_scale": "one"},
        {"softmax": "tflite_softmax", "layer_norm": {"precision": 8, "root": "bits"}},
        {"softmax": {"score_bits": 8, "division": "reciprocal"}, "residual_scale": "power_of_two"},
        {"softmax": "ita_softmax", "w_granularity": "channel"},
    ],
)
def test_every_formulation_runs_and_equals_its_reference(
    pixel_model: nn.Module, images: torch.Tensor, pixels: torch.Tensor, options: dict[str, Any]
) -> None:
    made = ptq.calibrate(pixel_model, images[:2], method="percentile", integer_only=True, **options)
    checks = ptq.verify_units(made, pixels[:1], outputs=20)
    assert all(check.mismatches == 0 for check in checks.values())
    if options.get("residual_scale") == "one":
        scales = {edge.format.scale for name, edge in made.edges.items() if "add" in name}
        assert len(scales) == 1


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"residual_bits": 3}, ValueError, "residual_bits"),
        (
            {"residual_bits": 8, "residual_scale": 1e-4},
            ValueError,
            r"residual 'embedding' of 8 bits.*residual_bits=1\d",
        ),
        ({"softmax": "hardmax"}, ValueError, "hardmax"),
        ({"softmax": {"kind": "softmax", "steps": 3}}, ValueError, "steps"),
        ({"softmax": {"table_bits": 4}}, ValueError, "too small for"),
        ({"gelu": 3}, TypeError, "gelu"),
        ({"layer_norm": {"precision": 40}}, ValueError, "precision"),
        ({"integer_only": 2}, TypeError, "integer_only"),
    ],
)
def test_wrong_options_are_refused(
    pixel_model: nn.Module, images: torch.Tensor, given: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        ptq.calibrate(pixel_model, images[:1], **{"method": "percentile", "integer_only": True, **given})


def test_what_is_not_there_is_said(
    quantized: ptq.QuantizedModel, integer_only: ptq.QuantizedModel, images: torch.Tensor
) -> None:
    with pytest.raises(ValueError, match="integer_only=True"):
        quantized.mode = "integer_only"
    with pytest.raises(ValueError, match="integer_only=True"):
        quantized.edges  # noqa: B018
    with pytest.raises(TypeError, match="uint8"):
        integer_only(images)
    with pytest.raises(TypeError, match="from_numpy"):
        integer_only([1, 2])
    with pytest.raises(ValueError, match="no normalized 8-bit pixels"):
        integer_only.logits(images + 0.001)


def test_a_network_that_does_not_say_its_normalization_is_refused(pixel_model: nn.Module, images: torch.Tensor) -> None:
    silent = copy.deepcopy(pixel_model)
    silent.pretrained_cfg = {}  # type: ignore[assignment]
    with pytest.raises(ValueError, match="pretrained_cfg"):
        ptq.calibrate(silent, images[:1], method="percentile", integer_only=True)


@pytest.mark.parametrize(
    "options",
    [
        *({"softmax": {"kind": kind, "score_bits": 8}} for kind in SOFTMAXES),
        *({"gelu": {"kind": kind, "bits": 8}} for kind in GELUS),
        {"residual_bits": 8, "layer_norm": {"precision": 8}}, {"residual_bits": 9, "residual_scale": "one"},
    ],
    ids=str,
)  # fmt: skip
def test_programs_give_what_the_steps_give(
    options: dict[str, Any], pixel_model: nn.Module, images: torch.Tensor, pixels: torch.Tensor
) -> None:
    """Codes and accumulators between units, whatever their widths: with an observer, steps run one by one."""
    made = ptq.calibrate(pixel_model, images, method="percentile", integer_only=True, **options)
    plan, accumulators = made.required_plan(), dict(made.accumulators)
    given = pixels.numpy()
    by_steps = execute(plan, given, accumulators, observer=lambda *_: None)
    assert np.array_equal(execute(plan, given, accumulators), by_steps)
    assert reference(plan, given[0], accumulators)[plan.output] == by_steps[0].tolist()
