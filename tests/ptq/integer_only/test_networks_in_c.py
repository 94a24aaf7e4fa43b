"""Bundled networks as programs in C: logits of many images, and every edge of some, equal integer-only mode."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import integer_only as io
from ptqsim import ptq
from tests.export.test_c_model import build, run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")]


@pytest.mark.parametrize(("name", "images"), [("vit_digits", 1000), ("deit_digits", 100), ("swin_digits", 100)])
def test_a_network_in_c(name: str, images: int, tmp_path: Path) -> None:
    model = ptq.load_model(name)
    data = ptq.load_data("digits", model)
    made = ptq.calibrate(model, ptq.sample_images(data, 16, 0), method="percentile", integer_only=True)
    plan = made.required_plan()
    pixels = ptq.as_pixels(ptq.sample_images(data, images, 1), plan.mean, plan.std).numpy()
    products = [step.name for step in plan.products()]
    for overflow, count in ((None, images), ("saturate", 8), ("wrap", 8)):
        chosen = {} if overflow is None else dict.fromkeys(products, pq.Accumulator(bits=15, overflow=overflow))
        folder = build(plan, tmp_path / str(overflow), accumulators=chosen)
        lines = run(folder, pixels[:count])
        got = np.array([line.split() for line in lines], np.int64)
        expected = np.concatenate([io.execute(plan, pixels[i : i + 8], chosen) for i in range(0, count, 8)])
        assert np.array_equal(got, expected)
        if overflow is not None:
            assert not np.array_equal(got, io.execute(plan, pixels[:count]))
    lines = run(folder, pixels[:2], "--trace")
    for image in pixels[:2]:
        edges: dict[str, np.ndarray] = {}
        io.execute(plan, image[None], chosen, lambda step, values, codes: edges.update({step.name: codes}))  # noqa: B023
        for edge, codes in edges.items():
            assert lines.pop(0) == " ".join(map(str, [edge, *np.ascontiguousarray(codes).ravel().tolist()]))
        lines.pop(0)
    assert not lines
