"""Layers of the bundled network, with their real codes, through the hardware: every accumulator is equal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import golden, rtl
from ptqsim.cli.framework.app import main
from tests.conftest import HAS_MODELS
from tests.rtl.needs import need

needs_models = pytest.mark.skipif(not HAS_MODELS, reason="the extra [models] is not installed")
COLUMNS = 8


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ptqsim calibrate; few images and one round, as only the formats matter."""
    file = tmp_path_factory.mktemp("calibrated") / "m.safetensors"
    few = ["--images", "2", "-O", "n=4", "-O", "rounds=1"]
    assert main(["calibrate", "--w-bits", "6", "--a-bits", "6", *few, "-o", str(file)]) == 0
    return file


def test_simulate_takes_products_with_leading_axes() -> None:
    need("yosys", "g++")
    formats = pq.TwinSoftmax(4, 3), pq.Uniform(4, 1.0)
    pairs = [golden.stimulus(*formats, 5, 7, 4, seed=seed) for seed in range(6)]
    a, b = (
        pq.QuantizedArray(np.stack([pair[side].codes for pair in pairs]).reshape(2, 3, *pairs[0][side].shape), fmt)
        for side, fmt in enumerate(formats)
    )
    accumulator = pq.Accumulator(9, "trap")
    ran = rtl.simulate(a, b, accumulator, columns=3)
    assert ran.equal
    assert ran.found.acc.shape == (2, 3, 5, 4)
    assert ran.comparison.outputs == ran.found.acc.size
    assert 0 < ran.comparison.trapped < ran.comparison.outputs
    for index in np.ndindex(2, 3):
        assert ran.found.trapped is not None
        right = ~ran.found.trapped[index]
        exact = a[index].aligned().astype(np.int64) @ b[index].aligned()
        assert np.array_equal(ran.found.acc[index][right], exact[right])
    wrong = ran.wanted.acc.copy()
    place = tuple(np.argwhere(~ran.found.trapped)[7])
    wrong[place] ^= 1
    again = rtl.simulate(a, b, accumulator, columns=3, wanted=rtl.HardwareResult(wrong, ran.wanted.trapped))
    assert not again.equal
    assert again.comparison.differ.tolist() == [list(place)]
    with pytest.raises(ValueError, match=r"try a\[0\] and b\[0\]"):
        rtl.simulate(a, b[0], accumulator)


@needs_models
def test_a_layer_by_name(calibrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("yosys", "g++")
    layer = ["--layer", "blocks.1.attn.matmul_pv", "--group", "1", "--images", "2"]
    arguments = ["rtl", "simulate", str(calibrated), *layer, "--bits", "12", "--overflow", "saturate", "--json"]
    capsys.readouterr()
    assert main([*arguments, "--rows", "9", "-o", str(tmp_path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    (row,) = shown["engines"]
    assert (row["outputs"], row["differ"], shown["columns"]) == (2 * 9 * 32, 0, 8)
    assert shown["unit"]["a"]["kind"] == "twin_softmax"
    assert shown["source"]["layer"] == "blocks.1.attn.matmul_pv"
    assert {"bench.sv", "files.f", "expected.hex"} <= {path.name for path in tmp_path.iterdir()}


@needs_models
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layer", "heat"], "Did you mean 'head'"),
        ([], "try --layer patch_embed.proj"),
        (["--layer", "head", "--depth", "3"], "leave --depth out"),
    ],
)
def test_wrong_layer(calibrated: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rtl", "simulate", str(calibrated), *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@needs_models
@pytest.mark.parametrize("name", ["blocks.0.attn.matmul_pv", "blocks.0.mlp.fc2"])
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_whole_layers_of_a_block(calibrated: Path, name: str, overflow: str) -> None:
    """At the width that their codes need, and saturating below it."""
    need("yosys", "g++")
    from ptqsim import ptq
    from ptqsim.ptq.evaluation.record import record_codes
    from ptqsim.rtl.simulation.run import unit_of

    quantized = ptq.load_with_model(calibrated)
    images = ptq.sample_images(ptq.load_data("digits", quantized.model), 1, 1)
    a, b = record_codes(quantized, images, name)
    assert a.format.shift > 0
    needed = pq.matmul(a, b, pq.Accumulator(63)).overflow
    assert needed is not None
    accumulator = pq.Accumulator(needed.bits_needed - 2 * (overflow == "saturate"), overflow)
    ran = rtl.simulate(a, b, unit_of(a, b, accumulator, runtime_shift=overflow == "wrap"), COLUMNS)
    assert ran.equal
    assert ran.comparison.outputs == ran.found.acc.size == np.prod([*a.shape[:-1], b.shape[-1]])
    assert (ran.found.acc != a.aligned() @ b.aligned()).any() == (overflow == "saturate")
