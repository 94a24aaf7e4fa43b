"""The C model: compiled without warnings, without undefined behavior and without floats, and equal at every edge."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import integer_only as io
from ptqsim import units
from ptqsim.export import units_in_c, write_c_model
from ptqsim.export.arena import places
from tests.integer_only.plans import IMAGES, PLAN
from tests.units.cases import unit_plan

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")

FLAGS = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined", "-fno-sanitize-recover=all"]


def build(plan: io.Plan, folder: Path, **options: Any) -> Path:
    model = write_c_model(plan, folder, **options)
    for name, text in model.files.items():
        assert not re.search("float|double", text), name
    sources = [name for name in model.files if name.endswith(".c")]
    done = subprocess.run(["gcc", *FLAGS, "-o", "network", *sources], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def run(folder: Path, images: np.ndarray, *options: str) -> list[str]:
    (folder / "images.bin").write_bytes(images.tobytes())
    done = subprocess.run(["./network", *options, "images.bin"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "accumulator",
    [
        pq.Accumulator(bits=32, order=pq.Tree(lanes=4)),
        pq.Accumulator(bits=9, overflow="saturate"),
        pq.Accumulator(bits=10, overflow="wrap"),
    ],
)
def test_every_edge_of_a_plan_equals_execution(accumulator: pq.Accumulator, tmp_path: Path) -> None:
    chosen = {step.name: accumulator for step in PLAN.products()}
    lines = iter(run(build(PLAN, tmp_path, accumulators=chosen), IMAGES, "--trace"))
    for index in range(len(IMAGES)):
        edges: dict[str, Any] = {}
        io.execute(PLAN, IMAGES[index : index + 1], chosen, lambda step, values, made: edges.update({step.name: made}))  # noqa: B023
        for name, made in edges.items():
            assert next(lines) == " ".join(map(str, [name, *np.ascontiguousarray(made).ravel().tolist()]))
        assert next(lines) == " ".join(map(str, edges["logits"].ravel().tolist()))
    assert next(lines, None) is None


@pytest.mark.slow
def test_every_unit_equals_its_kernel(tmp_path: Path) -> None:
    plan = unit_plan()
    image = np.random.default_rng(4).integers(0, 256, (1, 1, 12, 48)).astype(np.uint8)
    lines = run(build(plan, tmp_path), image, "--trace")
    made: list[tuple[str, Any]] = []
    io.execute(plan, image, observer=lambda step, values, codes: made.append((step.name, codes[0])))
    assert len(lines) == len(made) + 1
    for line, (name, values) in zip(lines, made, strict=False):
        assert line == " ".join(map(str, [name, *np.ascontiguousarray(values).ravel().tolist()])), name


def test_arrays_that_live_together_do_not_overlap() -> None:
    offsets, size = places(PLAN)
    order = ["pixels", *(step.name for step in PLAN.steps)]
    for index, step in enumerate(PLAN.steps):
        living = {name for name in order[: index + 2] if name == step.name or PLAN.last_use.get(name, -1) >= index}
        taken = np.zeros(size, int)
        for name in living:
            count = int(np.prod(PLAN.edges[name].shape))
            taken[offsets[name] : offsets[name] + count] += 1
        assert taken.max() == 1


def test_what_has_no_form_in_c_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(units_in_c._FORMS, units.ResidualAdd)
    with pytest.raises(ValueError, match="ResidualAdd has no form in C"):
        write_c_model(PLAN, tmp_path)
    monkeypatch.undo()
    narrow = pq.Accumulator(bits=9, overflow="saturate", order=pq.Tree(lanes=4))
    with pytest.raises(ValueError, match="product 'embed' can overflow"):
        write_c_model(PLAN, tmp_path, {"embed": narrow})


def test_wrong_input_of_the_program(tmp_path: Path) -> None:
    folder = build(PLAN, tmp_path)
    (folder / "short.bin").write_bytes(b"123")
    for given, says in (["short.bin"], "within an image"), (["nothing.bin"], "can't be read"), ([], "usage"):
        done = subprocess.run(["./network", *given], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 2
        assert says in done.stderr
    trap = build(PLAN, tmp_path / "trap", accumulators={"embed": pq.Accumulator(bits=6, overflow="trap")})
    (trap / "images.bin").write_bytes(IMAGES.tobytes())
    done = subprocess.run(["./network", "images.bin"], cwd=trap, capture_output=True, text=True)
    assert done.returncode == 3
    assert "6 bits overflowed" in done.stderr
