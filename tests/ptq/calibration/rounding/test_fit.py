"""Networks whose weights fit an accumulator: every method, files, traps, the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import ptqsim as pq
from ptqsim import fitting, ptq
from ptqsim.cli.framework import app
from ptqsim.ptq.calibration.layer import calibrate_layer
from ptqsim.ptq.calibration.methods import make_method
from ptqsim.ptq.calibration.operand_rules import OperandRules
from ptqsim.ptq.calibration.rounding.fit import Fit, fit_network
from ptqsim.ptq.network.convolutions.operation import ConvOperation
from ptqsim.ptq.network.products.operations import WeightOperation
from ptqsim.ptq.search.capture import OperationData

METHODS = ["percentile", "easyquant", "base_ptq", "bit_split", "liu2021", "ptq4vit"]
UNIT = pq.Accumulator(14, "trap")


def weights(quantized: ptq.QuantizedModel) -> dict[str, WeightOperation]:
    return {name: op for name, op in quantized.layers.items() if isinstance(op, WeightOperation)}


def assert_fits(quantized: ptq.QuantizedModel, unit: pq.Accumulator) -> None:
    for op in weights(quantized).values():
        assert op.formats is not None
        for group, codes in enumerate(op.weight_codes):
            assert fitting.fits(op.formats.a[group % len(op.formats.a)], codes, unit)
        assert op.bounds["weight_aware"].bits <= unit.bits


def outputs(quantized: ptq.QuantizedModel, images: torch.Tensor, mode: str) -> torch.Tensor:
    quantized.mode = mode
    return quantized(images)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_fits_and_traps_nothing(model: nn.Module, images: torch.Tensor, method: str) -> None:
    options: dict[str, Any] = {} if method == "percentile" else {"n": 6}
    q = ptq.calibrate(model, images, method=method, w_bits=6, a_bits=6, fit_accumulator=UNIT, fit="project", **options)
    assert_fits(q, UNIT)
    assert all(q.accumulators[name] == UNIT for name in weights(q))
    assert q.accumulators["blocks.0.attn.matmul_qk"] == pq.Accumulator(32)
    assert any(op.report["fit"]["channels"] for op in weights(q).values())  # type: ignore[index]
    faked = outputs(q, images, "fake_quant")
    torch.testing.assert_close(outputs(q, images, "integer"), faked, rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def fitted(model: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    return ptq.calibrate(model, images, method="ptq4vit", w_bits=6, a_bits=6, n=12, fit_accumulator=UNIT)


def test_the_default_compensates_and_is_nearer_than_projection(
    model: nn.Module, images: torch.Tensor, fitted: ptq.QuantizedModel
) -> None:
    q = ptq.calibrate(model, images, w_bits=6, a_bits=6, n=12, fit_accumulator=UNIT, fit="project")
    assert fitted.info["fit"] == {"method": "compensate", "accumulator": UNIT.to_dict()}
    better = 0
    for name, op in weights(fitted).items():
        one, other = op.report["fit"], q.layers[name].report["fit"]
        assert one["channels"] == other["channels"]  # type: ignore[index]
        if "error" in one:  # type: ignore[operator]
            assert one["error"]["after"] <= other["error"]["after"]  # type: ignore[index]
            better += one["error"]["after"] < other["error"]["after"]  # type: ignore[index]
    assert better >= 5


def test_a_wide_accumulator_changes_nothing(
    model: nn.Module, images: torch.Tensor, quantized: ptq.QuantizedModel
) -> None:
    wide = ptq.calibrate(model, images, method="ptq4vit", w_bits=6, a_bits=6, n=12, fit_accumulator=pq.Accumulator(24))
    for name, op in weights(wide).items():
        assert op.formats == quantized.layers[name].formats
        assert op.weight_codes == weights(quantized)[name].weight_codes
        assert op.report["fit"]["channels"] == 0  # type: ignore[index]


def test_tiles_and_scales_per_channel(model: nn.Module, images: torch.Tensor) -> None:
    unit = pq.Accumulator(16, "trap", "split:8:12", "deferred")
    q = ptq.calibrate(
        model, images, method="percentile", w_bits=6, a_bits=6, w_granularity="channel", fit_accumulator=unit
    )
    assert_fits(q, unit)
    report = q.layers["blocks.0.mlp.fc2"].report["fit"]
    assert report["bits"]["inner"] <= 12  # type: ignore[index]
    torch.testing.assert_close(outputs(q, images, "integer"), outputs(q, images, "fake_quant"), rtol=1e-3, atol=1e-3)


def test_a_file_keeps_the_codes_and_the_accumulator(
    model: nn.Module, images: torch.Tensor, fitted: ptq.QuantizedModel, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "q.safetensors")
    loaded = ptq.load(tmp_path / "q.safetensors", model)
    assert {name: op.weight_codes for name, op in weights(loaded).items()} == {
        name: op.weight_codes for name, op in weights(fitted).items()
    }
    assert dict(loaded.accumulators) == dict(fitted.accumulators)
    assert all(not check.mismatches for check in ptq.verify(loaded, images, outputs=50).values())


def test_an_interrupted_fit_goes_on(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    def again(**options: Any) -> ptq.QuantizedModel:
        return ptq.calibrate(
            model, images, method="percentile", w_bits=6, a_bits=6, state=tmp_path, fit_accumulator=UNIT, **options
        )

    first, second, other = again(), again(), again(fit="project")
    for name, op in weights(first).items():
        assert op.weight_codes == weights(second)[name].weight_codes
    assert any(op.weight_codes != weights(other)[name].weight_codes for name, op in weights(first).items())


def test_fitting_afterwards_is_the_same(
    model: nn.Module, images: torch.Tensor, fitted: ptq.QuantizedModel, tmp_path: Path
) -> None:
    q = ptq.calibrate(model, images, method="ptq4vit", w_bits=6, a_bits=6, n=12)
    with ptq.capture(model, images, gradient=None) as captured:
        fit_network(q, captured, Fit(UNIT))
    assert q.info["fit"] == fitted.info["fit"]
    for name, op in weights(fitted).items():
        assert op.weight_codes == weights(q)[name].weight_codes


def test_groups_of_a_convolution_are_fitted_by_themselves() -> None:
    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, groups=2, bias=False)
    op = ConvOperation("conv", conv)
    a = torch.randn(2, 40, 18, generator=generator)
    b = op.constant_b.detach()
    data = OperationData(a, b, a @ b, None, 1)
    result = calibrate_layer(op, data, make_method("percentile", {}), 6, 6, OperandRules(fit=Fit(pq.Accumulator(12))))
    assert result.weight_codes is not None
    assert len(result.weight_codes) == 2
    for a_format, codes in zip(result.formats.a, result.weight_codes, strict=True):
        assert fitting.fits(a_format, codes, pq.Accumulator(12))


def test_bias_correction_takes_the_fitted_codes(model: nn.Module, images: torch.Tensor) -> None:
    q = ptq.calibrate(
        model, images, method="percentile", w_bits=6, a_bits=6, bias_correction=True, fit_accumulator=UNIT
    )
    with ptq.capture(model, images, gradient=None) as captured:
        data = captured["head"]
    op = weights(q)["head"]
    q.mode = "fake_quant"
    mean = (op.rows(data.a[0]) - data.out[0] - op.bias).mean(dim=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fit_accumulator": 16}, "fit_accumulator must be an Accumulator, got 16"),
        ({"fit_accumulator": UNIT, "fit": "prune"}, "unknown fit 'prune'"),
        (
            {"fit_accumulator": pq.Accumulator(6)},
            r"layer '.*', group \d: output channel \d+ cannot be fitted",
        ),
        ({"fit_accumulator": UNIT, "variant": "released"}, "released|shift"),
    ],
)
def test_refusals(model: nn.Module, images: torch.Tensor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ptq.calibrate(model, images, w_bits=6, a_bits=6, **{"n": 4, **options})


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.safetensors"
    arguments = [
        "calibrate",
        "--method",
        "percentile",
        "--w-bits",
        "4",
        "--a-bits",
        "4",
        "--images",
        "2",
        "-o",
        str(path),
    ]
    assert app.main([*arguments, "--fit-accumulator", "12,order=split:32:11", "--fit", "project"]) == 0
    shown = capsys.readouterr()
    assert "Weights that fit" in shown.out
    assert "products of two activations are not fitted" in " ".join((shown.out + shown.err).split())
    assert app.main(["bounds", str(path), "--images", "0", "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    bounds = [layer["bounds"]["weight_aware"]["bits"] for layer in layers.values() if "weight_aware" in layer["bounds"]]
    assert max(bounds) <= 12
    trap = [str(path), "--bits", "12", "--overflow", "trap", "--order", "split:32:11", "--attention-bits", "20"]
    assert app.main(["verify", *trap, "--images", "2", "--outputs", "40", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mismatches"] == 0
    assert app.main(["simulate", *trap, "--limit", "2", "--json"]) == 0
    simulated = json.loads(capsys.readouterr().out)
    assert simulated["difference"]["logits"] == 0
    assert simulated["layers"]["blocks.0.attn.matmul_qk"]["bits"] == 20
    assert app.main([*arguments, "--fit-accumulator", "12,overflow=trap"]) == 2
    assert "--fit-accumulator 12,overflow=trap: unknown option 'overflow'" in capsys.readouterr().err
    assert app.main([*arguments, "--fit-accumulator", "12", "--fit", "prune"]) == 2
    assert "unknown fit 'prune'" in capsys.readouterr().err
