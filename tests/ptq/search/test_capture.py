"""Captured data do not depend on threads, and are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.calibration.mixed_precision.hessian import weight_traces

T = TypeVar("T")


def on_threads(work: Callable[[nn.Module, torch.Tensor], T], images: int) -> tuple[T, T]:
    """The results of some work on vit_digits on one thread and on three."""
    network = ptq.load_model("vit_digits")
    pictures = ptq.sample_images(ptq.load_data("digits", network, split="calibration"), images, seed=0)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(work(network, pictures))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    return found[0], found[1]


def everything_captured(network: nn.Module, pictures: torch.Tensor) -> dict[str, ptq.OperationData]:
    with ptq.capture(network, pictures) as captured:
        return {name: captured[name] for name in captured}


def test_the_number_of_threads_changes_no_gradient() -> None:
    first, second = on_threads(everything_captured, 16)
    for name, data in first.items():
        assert data.grad is not None
        assert second[name].grad is not None
        assert torch.equal(data.a, second[name].a)
        assert torch.equal(data.grad, second[name].grad)


def test_the_number_of_threads_changes_no_trace() -> None:
    first, second = on_threads(lambda network, pictures: weight_traces(network, pictures, 2, 0), 8)
    assert first == second


def test_a_calibration_reads_every_operation_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network = ptq.load_model("vit_digits")
    pictures = ptq.sample_images(ptq.load_data("digits", network, split="calibration"), 2, seed=0)
    read: list[str] = []
    plain = ptq.Captured.on

    def counted(captured: ptq.Captured, device: torch.device, name: str) -> ptq.OperationData:
        read.append(name)
        return plain(captured, device, name)

    monkeypatch.setattr(ptq.Captured, "on", counted)
    with ptq.capture(network, pictures) as captured:
        for paradigm in ("parallel", "sequential"):
            read.clear()
            ptq.calibrate(network, pictures, method="percentile", captured=captured, paradigm=paradigm)
            assert sorted(read) == sorted(captured)
