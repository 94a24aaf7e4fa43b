"""What capture keeps does not depend on threads."""

from __future__ import annotations

import torch

from ptqsim import ptq
from ptqsim.ptq.mixed_precision.hessian import weight_traces


def test_the_number_of_threads_changes_no_gradient() -> None:
    network = ptq.load_model("vit_digits")
    pictures = ptq.sample_images(ptq.load_data("digits", network, split="calibration"), 16, seed=0)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            with ptq.capture(network, pictures) as captured:
                found.append({name: captured[name] for name in captured})
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for name, data in found[0].items():
        other = found[1][name]
        assert torch.equal(data.a, other.a)
        assert data.grad is not None
        assert other.grad is not None
        assert torch.equal(data.grad, other.grad)


def test_the_number_of_threads_changes_no_trace() -> None:
    network = ptq.load_model("vit_digits")
    pictures = ptq.sample_images(ptq.load_data("digits", network, split="calibration"), 8, seed=0)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(weight_traces(network, pictures, 2, 0))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]
