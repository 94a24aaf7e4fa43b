"""Calibration and execution on a GPU; only where there is one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from tests.ptq.names import METHODS


@pytest.fixture(autouse=True)
def gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")


@pytest.fixture
def network(gpu: None, model: nn.Module) -> Iterator[nn.Module]:
    """The shared one, which comes back from the GPU."""
    yield model
    model.to("cpu")


def formats_of(q: ptq.QuantizedModel) -> list[pq.NumberFormat]:
    chosen = [op.formats for op in q.layers.values()]
    return [each for formats in chosen if formats is not None for each in (*formats.a, *formats.b)]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_comes_as_near_as_on_the_processor(method: str, network: nn.Module, images: torch.Tensor) -> None:
    """A GPU sums in another order, so of two scales that are equally good it may choose the other one."""
    exact = network(images).detach()
    errors, formats = [], []
    for device in ("cpu", "cuda"):
        q = ptq.calibrate(network.to(device), images, method=method, w_bits=4, a_bits=4)
        errors.append(float((q(images.to(device)).detach().cpu() - exact).square().mean()))
        formats.append(formats_of(q))
    same = sum(
        type(one) is type(other) and one.scale == pytest.approx(other.scale, rel=1e-4)
        for one, other in zip(*formats, strict=True)
    )
    sys.stdout.write(f"{method}: {same} of {len(formats[0])} formats are the same; errors {errors}\n")
    assert len(formats[0]) > 20
    assert same >= 0.9 * len(formats[0])
    assert errors[1] == pytest.approx(errors[0], rel=0.2)


def test_what_was_captured_stays_there_if_there_is_room(
    network: nn.Module, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else is spilled to disk; it is the same, wherever it is asked for."""
    with ptq.capture(network.to("cuda"), images) as there:
        assert not list(there._folder.path.glob("*.safetensors"))
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 1000))
        with ptq.capture(network, images) as spilled:
            assert list(spilled._folder.path.glob("*.safetensors"))
            for name in there:
                for device in ("cpu", "cuda"):
                    one, other = (captured.on(torch.device(device), name) for captured in (there, spilled))
                    assert one.a.device.type == other.a.device.type == device
                    assert torch.equal(one.a, other.a)
                    assert torch.equal(one.b, other.b)
                    torch.testing.assert_close(one.grad, other.grad)


def test_a_seed_gives_the_same_formats_twice(network: nn.Module, images: torch.Tensor) -> None:
    def chosen() -> list[pq.NumberFormat]:
        q = ptq.calibrate(network.to("cuda"), images, w_bits=4, a_bits=4, gradient="sampled", seed=3)
        return formats_of(q)

    assert chosen() == chosen()


def test_what_was_calibrated_there_runs_in_integers_everywhere(tmp_path: Path) -> None:
    """A checkpoint that the GPU wrote: the same bits on the processor, and its accuracy on either."""
    model = ptq.load_model("vit_digits").to("cuda")
    data = ptq.load_data("digits", model)
    calibration = ptq.sample_images(ptq.load_data("digits", model, split="calibration"), 32)
    q = ptq.calibrate(model, calibration, w_bits=6, a_bits=6)
    path = tmp_path / "there.safetensors"
    q.save(path)
    top1 = {}
    for device in ("cuda", "cpu"):
        q.model.to(device)
        for mode in ("fake_quant", "integer"):
            q.mode = mode
            top1[device, mode] = ptq.evaluate(q, data, limit=500).top1
    sys.stdout.write(f"{top1}\n")
    assert max(top1.values()) - min(top1.values()) <= 2.0  # of 100
    loaded = ptq.load(path, ptq.load_model("vit_digits"))
    loaded.mode = q.mode = "integer"
    images = data.read(range(8))[0]
    with torch.no_grad():
        assert torch.equal(loaded(images), q(images))
