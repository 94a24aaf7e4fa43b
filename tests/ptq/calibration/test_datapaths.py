"""Places where zero points are subtracted: chosen by calibration, kept in files, the default of commands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.cli.framework import app


@pytest.fixture(scope="module")
def q(model: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    return ptq.calibrate(model, images, w_bits=4, a_bits=5, n=4, a_symmetric=False)


def corrected(op: object) -> bool:
    return getattr(op, "constant_b", None) is not None


def test_a_constant_that_is_known_with_the_weights_is_corrected(q: ptq.QuantizedModel) -> None:
    """Layers with weights are corrected, products of two activations are not, and the rest have no zero point."""
    seen = set()
    for name, op in q.layers.items():
        assert op.formats is not None
        zero = any(fmt.zero_point for fmt in (*op.formats.a, *op.formats.b))
        assert (name in q.datapaths) == zero
        if not zero:
            assert q.accumulators[name] == pq.Accumulator(32)
            continue
        place = "correction" if corrected(op) else "operand"
        seen.add(place)
        assert q.datapaths[name] == place
        assert q.accumulators[name] == pq.Accumulator(32, zero_point=place)
        bits = q.info["datapaths"][name]["bits"]
        assert bits[place] <= min(bits.values())
        for other in pq.ZeroPoint:
            op.integer.accumulator = pq.Accumulator(32, zero_point=other)
            assert min(bound.bits for bound in op.bounds.values() if bound.kind == "theorem") == bits[other]
        op.integer.accumulator = pq.Accumulator(32, zero_point=place)
    assert seen == {"correction", "operand"}


def test_weights_with_a_zero_point_are_subtracted(q: ptq.QuantizedModel) -> None:
    """Their correction has a rest for each row, and a wider register."""
    from ptqsim.ptq.network.products.datapaths import choose_datapath
    from ptqsim.ptq.network.products.operations import OperandFormats

    op = q.layers["blocks.0.mlp.fc1"]
    formats, codes = op.formats, op.weight_codes
    assert formats is not None
    op.formats = OperandFormats(formats.a, (pq.Uniform(4, formats.b[0].scale, zero_point=-3),))
    chosen = choose_datapath(op)
    op.formats = formats
    op.weight_codes = codes  # type: ignore[misc]
    assert chosen is not None
    assert chosen["zero_point"] == "operand"
    assert chosen["bits"]["operand"] <= chosen["bits"]["correction"]


def test_networks_without_zero_points_have_no_choice(quantized: ptq.QuantizedModel) -> None:
    assert quantized.datapaths == {}
    assert "datapaths" not in quantized.info
    assert set(quantized.as_calibrated(pq.Accumulator(20, "trap")).values()) == {pq.Accumulator(20, "trap")}


def test_files_keep_it(q: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    q.save(tmp_path / "m.safetensors")
    again = ptq.load(tmp_path / "m.safetensors", model)
    assert again.datapaths == q.datapaths
    assert dict(again.accumulators) == dict(q.accumulators)
    again.mode = "integer"
    own = again(images[:2])
    again.accumulator = pq.Accumulator(32)
    assert torch.equal(again(images[:2]), own)
    again.accumulator = again.as_calibrated(pq.Accumulator(10, "saturate"))
    assert {unit.zero_point for unit in again.accumulators.values()} == set(pq.ZeroPoint)
    saturated = again(images[:2])
    again.accumulator = pq.Accumulator(10, "saturate")
    assert not torch.equal(again(images[:2]), saturated)


def test_fitted_weights_keep_the_place_that_they_were_fitted_for(model: nn.Module, images: torch.Tensor) -> None:
    unit = pq.Accumulator(14, order="split:8:12")
    q = ptq.calibrate(model, images, w_bits=4, a_bits=5, n=4, a_symmetric=False, fit_accumulator=unit, fit="project")
    assert set(q.datapaths.values()) == {pq.ZeroPoint.OPERAND}
    assert all((q.accumulators[name] == unit) == corrected(op) for name, op in q.layers.items())
    moved = pq.Accumulator(14, order="split:8:12", zero_point="correction")
    q = ptq.calibrate(model, images, w_bits=4, a_bits=5, n=4, a_symmetric=False, fit_accumulator=moved, fit="project")
    places = {name: place for name, place in q.datapaths.items() if corrected(q.layers[name])}
    assert set(places.values()) == {pq.ZeroPoint.CORRECTION}


def test_commands_take_it_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.safetensors"
    given = ["calibrate", "--a-asymmetric", "--method", "percentile", "--images", "4", "--w-bits", "4", "--a-bits", "4"]
    assert app.main([*given, "-o", str(path)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    counts = re.search(r"corrected behind the multiplier in (\d+) layers, subtracted in front of it in (\d+);", said)
    assert counts is not None
    places = {"default": [], "operand": ["--zero-point", "operand"], "correction": ["--zero-point", "correction"]}
    found = {}
    for name, options in places.items():
        common = ["--bits", "11", "--overflow", "saturate", "--limit", "2", *options, "--json"]
        assert app.main(["simulate", str(path), *common]) == 0
        found[name] = json.loads(capsys.readouterr().out)
        assert app.main(["verify", str(path), "--images", "1", "--outputs", "5", "--bits", "11", *options]) == 0
        capsys.readouterr()
        assert app.main(["bounds", str(path), "--images", "0", *options, "--json"]) == 0
        found[f"bounds {name}"] = json.loads(capsys.readouterr().out)
        assert app.main(["vectors", str(path), "--layer", "blocks.0.mlp.fc1", "--rows", "1", "--cols", "2", *options,
                         "-o", str(tmp_path / name)]) == 0  # fmt: skip
        made = json.loads((tmp_path / name / "manifest.json").read_text())["accumulator"]
        assert made.get("zero_point", "operand") == ("correction" if name == "default" else name)
        capsys.readouterr()
    layers = found["default"]["layers"]
    given_places = [layer["zero_point"] for layer in layers.values()]
    assert given_places.count("correction") == int(counts[1])
    assert len(given_places) >= int(counts[1]) + int(counts[2]) > int(counts[1])
    for layer, place in (("blocks.0.mlp.fc1", "correction"), ("blocks.0.attn.matmul_qk", "operand")):
        assert layers[layer]["zero_point"] == place
        assert found["bounds default"]["layers"][layer] == found[f"bounds {place}"]["layers"][layer]
    assert found["default"]["accumulator"]["zero_point"] is None
    assert found["correction"]["accumulator"]["zero_point"] == "correction"
    assert layers != found["operand"]["layers"]
    assert layers != found["correction"]["layers"]
