"""Calibration: options, gradients, determinism, and what capture keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import ptqsim as pq
from ptqsim import ptq


def test_methods_give_the_formats_that_their_papers_name(model: nn.Module, images: torch.Tensor) -> None:
    base = ptq.calibrate(model, images, method="base_ptq", w_bits=4, a_bits=5, n=6)
    ours = ptq.calibrate(model, images, method="ptq4vit", w_bits=4, a_bits=5, n=6)
    for q, twin in ((base, False), (ours, True)):
        for op in q.layers.values():
            formats = op.formats
            assert formats is not None
            expected = (
                {"softmax": pq.TwinSoftmax, "gelu": pq.TwinGELU}.get(op.a_kind, pq.Uniform) if twin else pq.Uniform
            )
            assert all(type(f) is expected for f in formats.a)
            assert (len(formats.a), len(formats.b)) == op.groups
            assert {f.bits for f in formats.a} == {5}
            assert {f.bits for f in formats.b} == {5 if op.kind.startswith("matmul") else 4}


@pytest.mark.parametrize("batch", [3, 8])
def test_capture_keeps_inputs_outputs_and_gradients(model: nn.Module, images: torch.Tensor, batch: int) -> None:
    """Against autograd on the plain model: dL/dO of fc1 by a hook of ours, L = CE with the arg max as label."""
    seen: dict[str, torch.Tensor] = {}

    def hook(module: nn.Module, args: tuple[torch.Tensor], out: torch.Tensor) -> None:
        seen["a"] = args[0].detach()
        out.register_hook(lambda grad: seen.__setitem__("grad", grad))

    handle = model.blocks[1].mlp.fc1.register_forward_hook(hook)  # type: ignore[index, union-attr]
    logits = model(images.clone().requires_grad_())
    F.cross_entropy(logits, logits.argmax(1), reduction="sum").backward()
    handle.remove()
    with ptq.capture(model, images, batch=batch) as captured:
        data = captured["blocks.1.mlp.fc1"]
        assert data.grad is not None
        torch.testing.assert_close(data.a[0], seen["a"].flatten(0, 1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(data.grad[0], seen["grad"].flatten(0, 1), rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(data.out, data.a @ data.b)


def test_captured_files_are_removed(model: nn.Module, images: torch.Tensor) -> None:
    captured = ptq.capture(model, images[:2])
    folder = captured._folder.path
    assert len(list(folder.glob("*.safetensors"))) == len(captured) > 0
    captured.close()
    assert not folder.exists()


def test_gradient_choices_differ_as_the_spec_says(model: nn.Module, images: torch.Tensor) -> None:
    def size(gradient: str) -> float:
        with ptq.capture(model, images, gradient=gradient, seed=1) as captured:  # type: ignore[arg-type]
            grad = captured["blocks.0.mlp.fc2"].grad
            assert grad is not None
            return float(grad.abs().mean())

    sizes = {name: size(name) for name in ("pseudo_label", "sampled", "released", "random")}
    # CE(p, p) is stationary: what the released code squares is float noise
    assert sizes["released"] < 1e-4 * sizes["pseudo_label"]
    assert sizes["random"] == pytest.approx(np.sqrt(2 / np.pi), rel=0.05)
    assert sizes["sampled"] > 0.1 * sizes["pseudo_label"]


def test_sampled_labels_follow_the_seed(model: nn.Module, images: torch.Tensor) -> None:
    def grad(seed: int) -> torch.Tensor:
        with ptq.capture(model, images, gradient="sampled", seed=seed) as captured:
            found = captured["head"].grad
            assert found is not None
            return found

    assert torch.equal(grad(1), grad(1))
    assert not torch.equal(grad(1), grad(2))


def test_the_same_seed_gives_the_same_formats_on_any_number_of_threads(model: nn.Module, images: torch.Tensor) -> None:
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            q = ptq.calibrate(model, images, w_bits=4, a_bits=4, n=10, gradient="sampled", seed=5)
            found.append({name: op.formats for name, op in q.layers.items()})
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_a_shared_capture_gives_the_same_formats(model: nn.Module, images: torch.Tensor) -> None:
    with ptq.capture(model, images) as captured:
        shared = ptq.calibrate(model, images, w_bits=5, a_bits=5, n=8, captured=captured)
    alone = ptq.calibrate(model, images, w_bits=5, a_bits=5, n=8)
    assert {n: op.formats for n, op in shared.layers.items()} == {n: op.formats for n, op in alone.layers.items()}


def test_more_bits_come_closer_to_float(model: nn.Module, images: torch.Tensor) -> None:
    exact = model(images)
    errors = [
        float((ptq.calibrate(model, images, w_bits=bits, a_bits=bits, n=20)(images) - exact).square().mean().detach())
        for bits in (4, 6, 8, 12)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3 * errors[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "ptq4vt"}, "ptq4vit"),
        ({"method": "ptq4vit", "gradeint": "sampled"}, "gradient"),
        ({"gradient": "sample"}, "sampled"),
        ({"w_bits": 1}, "w_bits must be an integer from 2 to 16, got 1; try 8"),
        ({"a_bits": 17}, "a_bits must be an integer from 2 to 16, got 17"),
        ({"rounds": 0}, "rounds is 0"),
        ({"method": "base_ptq", "metric": "cosin"}, "cosine"),
        ({"gelu_pair": "coverin"}, "covering"),
    ],
)
def test_bad_options_are_named(
    model: nn.Module, images: torch.Tensor, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ptq.calibrate(model, images[:1], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.full((2, 3, 32, 32), float("nan")), "2 of 2 images hold NaN"),
        (torch.zeros(3, 32, 32), r"\(3, 32, 32\)"),
        (torch.zeros(0, 3, 32, 32), "at least 1"),
    ],
)
def test_bad_images_are_named(model: nn.Module, bad: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ptq.calibrate(model, bad)


def test_images_of_another_type_are_type_errors(model: nn.Module) -> None:
    for bad, message in (
        (torch.zeros(2, 3, 32, 32, dtype=torch.int64), "int64"), (np.zeros((1, 3, 32, 32)), "ndarray"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=message):
            ptq.calibrate(model, bad)


def test_gradients_of_another_kind_are_refused(model: nn.Module, images: torch.Tensor) -> None:
    with (
        ptq.capture(model, images[:1], gradient="random") as captured,
        pytest.raises(ValueError, match="capture with gradient='pseudo_label'"),
    ):
        ptq.calibrate(model, images[:1], captured=captured)
