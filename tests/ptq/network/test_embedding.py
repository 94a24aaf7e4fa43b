"""The task of feature extractors: its loss, its metrics, and the way through calibration and the command line."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.ptq.calibration.mixed_precision.hessian import hutchinson_traces
from ptqsim.ptq.network.tasks.embedding import Embedding
from ptqsim.ptq.network.tasks.gradients import Gradient
from ptqsim.ptq.network.tasks.task import task_of

QUICK: dict[str, Any] = {"w_bits": 6, "a_bits": 6, "n": 6, "rounds": 1}


@pytest.fixture(scope="module")
def extractor(model: nn.Module) -> nn.Module:
    """The small transformer without its head."""
    network: Any = copy.deepcopy(model)
    network.reset_classifier(0)
    return network


@pytest.fixture(scope="module")
def quantized(extractor: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    return ptq.calibrate(extractor, images, **QUICK)


def unit(y: torch.Tensor) -> torch.Tensor:
    return y / y.norm(dim=-1, keepdim=True)


def tiny() -> tuple[nn.Sequential, torch.Tensor]:
    """Two layers of width 4 with 3 outputs in float64, and what the first of them gives for two images."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    return network, network[0](torch.randn(2, 5).double()).detach()


def test_gradients_of_directions_average_to_the_gauss_newton_diagonal() -> None:
    """All 8 sign vectors of an embedding of width 3, each of them once, give diag(J^T J) to the last digits."""
    network, hidden = tiny()
    generator, seen = torch.Generator().manual_seed(0), {}
    while len(seen) < 8:
        out = hidden[:1].clone().requires_grad_(True)
        Embedding().loss(network[1:](out), Gradient.PSEUDO_LABEL, generator).backward()
        assert out.grad is not None
        seen[tuple(out.grad.round(decimals=9).flatten().tolist())] = out.grad
    jacobian = torch.autograd.functional.jacobian(lambda out: unit(network[1:](out)), hidden[0])
    mean = torch.stack(list(seen.values())).square().mean(dim=0).flatten()
    assert torch.allclose(mean, jacobian.square().sum(dim=0), rtol=1e-9)


def test_directions_of_images_are_independent() -> None:
    network, hidden = tiny()
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(2, 4).double()
    for _ in range(2000):
        out = hidden.clone().requires_grad_(True)
        Embedding().loss(network[1:](out), Gradient.SAMPLED, generator).backward()
        assert out.grad is not None
        total += out.grad.square() / 2000
    for image in range(2):
        jacobian = torch.autograd.functional.jacobian(lambda out: unit(network[1:](out)), hidden[image])
        assert torch.allclose(total[image], jacobian.square().sum(dim=0), rtol=0.1)


def test_the_hessian_that_is_traced_is_twice_gauss_newton() -> None:
    network, hidden = tiny()

    def loss(out: torch.Tensor) -> torch.Tensor:
        return Embedding().traced_loss(network[1:](out[None]))

    jacobian = torch.autograd.functional.jacobian(lambda out: unit(network[1:](out)), hidden[0])
    hessian = torch.autograd.functional.hessian(loss, hidden[0])
    assert torch.allclose(hessian, 2 * jacobian.T @ jacobian, atol=1e-12)
    out = hidden[0].clone().requires_grad_(True)
    traces = hutchinson_traces(lambda: loss(out), {"out": out}, 1000, torch.Generator().manual_seed(0))
    assert traces["out"] == pytest.approx(2 * float(jacobian.square().sum()), rel=0.1)
    released = Embedding().loss(network[1:](out[None]), Gradient.RELEASED, torch.Generator())
    assert torch.autograd.grad(released, out)[0].abs().max() == 0


def test_the_divergence_is_the_squared_error_of_directions() -> None:
    a, b = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[6.0, 8.0], [0.0, 2.0]])
    assert Embedding().divergence(a, b).tolist() == pytest.approx([0, 2])


def test_what_is_captured_is_the_gradient_of_the_projection(extractor: nn.Module, images: torch.Tensor) -> None:
    captured = ptq.capture(extractor, images[:4], seed=5)
    kept: dict[str, torch.Tensor] = {}
    network = copy.deepcopy(extractor).requires_grad_(True)
    network.get_submodule("blocks.1.mlp.fc1").register_full_backward_hook(
        lambda module, inputs, outputs: kept.update(grad=outputs[0])
    )
    outputs = network(images[:4].clone().requires_grad_(True))
    signs = torch.randint(0, 2, outputs.shape, generator=torch.Generator().manual_seed(5), dtype=torch.int8) * 2 - 1
    (unit(outputs) * signs).sum().backward()
    with captured:
        found = captured["blocks.1.mlp.fc1"].grad
    assert found is not None
    assert torch.allclose(found.reshape(kept["grad"].shape), kept["grad"], atol=1e-7)
    assert float(found.abs().max()) > 1e-3


def test_the_task_is_that_of_a_network_without_a_head(model: nn.Module, extractor: nn.Module) -> None:
    assert (task_of(model).name, task_of(extractor).name) == ("classification", "embedding")
    assert task_of(ptq.load_model("vit_digits", task="embedding")).name == "embedding"
    assert task_of(ptq.load_model("vit_digits", num_classes=0)).name == "embedding"
    with pytest.raises(ValueError, match=r"one of embedding, and top-1 is of a classifier: use ptqsim\.ptq\.measure"):
        ptq.evaluate(extractor, ptq.load_data("digits", extractor), limit=2)


@pytest.mark.parametrize("pool", ["", "map_of_tokens"])
def test_outputs_that_are_no_vectors_are_refused(pool: str, extractor: nn.Module, images: torch.Tensor) -> None:
    network: Any = copy.deepcopy(extractor)
    if pool:
        network.register_forward_hook(lambda module, args, out: out[:, :1])
    else:
        network.global_pool = ""
    with pytest.raises(ValueError, match=r"gives outputs \(2, .*legal is a feature extractor, from images to vectors"):
        ptq.calibrate(network, images, **QUICK)


def test_nearest_neighbors_are_those_of_another_library() -> None:
    from sklearn.neighbors import NearestNeighbors

    vectors = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    _, found = NearestNeighbors(n_neighbors=2, metric="cosine").fit(vectors.numpy()).kneighbors(vectors.numpy())
    assert ptq.nearest_neighbors(vectors).tolist() == found[:, 1].tolist()
    assert ptq.nearest_neighbors(1e3 * vectors).tolist() == found[:, 1].tolist()


def test_nearest_neighbors_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = torch.randn(23, 4, generator=torch.Generator().manual_seed(0))
    whole = ptq.nearest_neighbors(vectors)
    monkeypatch.setattr("ptqsim.ptq.evaluation.embedding._AT_ONCE", 50)
    assert torch.equal(ptq.nearest_neighbors(vectors), whole)


def test_neighbors_of_special_vectors() -> None:
    twins = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [1.0, 1e-12]])
    assert ptq.nearest_neighbors(twins).tolist() == [2, 0, 0, 0]  # of equally near ones the first
    twins[1] = torch.nan
    assert ptq.nearest_neighbors(twins).tolist() == [2, -1, 0, 0]
    twins[1] = torch.inf
    assert ptq.nearest_neighbors(twins).tolist() == [2, -1, 0, 0]
    assert ptq.nearest_neighbors(torch.zeros(1, 3)).tolist() == [-1]
    assert ptq.nearest_neighbors(torch.full((2, 3), torch.nan)).tolist() == [-1, -1]


def test_metrics_by_hand() -> None:
    exact = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    found = exact.clone()
    found[1] = torch.tensor([-1.0, 3.0])  # it was near 0, and is now nearest to 2; 0 has lost its neighbor
    result = ptq.EmbeddingEvaluation(found, torch.arange(4), exact)
    expected = [1.0, -0.6 / np.hypot(0.9, 0.1) / np.hypot(1, 3), 1.0, 1.0]
    assert result.cosine == pytest.approx(np.mean(expected))
    assert result.predictions.tolist() == [3, 2, 3, 2]
    assert result.neighbor_agreement == 50.0
    found[2] = torch.nan
    assert ptq.EmbeddingEvaluation(found, torch.arange(4), exact).cosine == pytest.approx((expected[1] + 2) / 4)
    one = ptq.EmbeddingEvaluation(exact[:1], torch.arange(1), exact[:1])
    with pytest.warns(UserWarning, match="one image has no other image"):
        assert np.isnan(one.metrics["neighbor_agreement"])


def test_a_quantized_extractor_is_measured_beside_its_float_network(
    extractor: nn.Module, quantized: ptq.QuantizedModel, tmp_path: Path
) -> None:
    data = ptq.load_data("digits", extractor)
    images = data.read(range(12))[0]
    with torch.no_grad():
        exact = extractor(images)
    results = {}
    for mode in ("float", "fake_quant", "integer"):
        quantized.mode = mode  # type: ignore[assignment]
        told: list[tuple[int, int]] = []
        found = ptq.measure(quantized, data, limit=12, batch=5, progress=lambda *now, told=told: told.append(now[:2]))
        assert isinstance(found, ptq.EmbeddingEvaluation)
        assert quantized.mode == mode
        assert torch.allclose(found.exact, exact, atol=1e-5)
        assert torch.allclose(found.logits, quantized(images), atol=1e-5)
        assert told[-1] == ((12, 12) if mode == "float" else (24, 24))
        results[mode] = found
    assert results["float"].metrics == {"cosine": pytest.approx(1), "neighbor_agreement": 100.0}
    cosine = np.mean(np.sum(unit(results["integer"].logits).numpy() * unit(exact).numpy(), axis=1))
    assert results["integer"].cosine == pytest.approx(float(cosine), abs=1e-6)
    assert 0.9 < results["integer"].cosine < 0.99999
    assert ptq.measure(extractor, data, limit=12).metrics["cosine"] == pytest.approx(1)
    quantized.mode = "fake_quant"
    quantized.save(tmp_path / "q.safetensors")
    again = ptq.load(tmp_path / "q.safetensors", extractor)
    assert torch.equal(again(images), quantized(images))
    other: Any = copy.deepcopy(extractor)
    nn.init.normal_(other.blocks[0].mlp.fc1.weight)
    decoded = ptq.load(tmp_path / "q.safetensors", other)
    with pytest.raises(ValueError, match=r"holds codes in place of its weights: name them with --checkpoint"):
        ptq.measure(decoded, data, limit=2)


@pytest.mark.parametrize(("method", "options"), [("base_ptq", {"n": 4}), ("ptq4vit_plus", {"n": 4, "rounds": 1})])
def test_other_methods_take_extractors(
    method: str, options: dict[str, Any], extractor: nn.Module, images: torch.Tensor
) -> None:
    q = ptq.calibrate(extractor, images[:4], method=method, w_bits=8, a_bits=8, **options)
    result: Any = ptq.measure(q, ptq.load_data("digits", extractor), limit=6)
    assert result.cosine > 0.9


def test_mixed_precision_takes_extractors(extractor: nn.Module, images: torch.Tensor) -> None:
    mixed = ptq.MixedPrecision(sensitivity="hessian", widths=(4, 6, 8))  # type: ignore[arg-type]
    q = ptq.calibrate(extractor, images, method="base_ptq", w_bits=6, a_bits=6, n=4, mixed_precision=mixed)
    assert "fallback" not in q.info["mixed_precision"]
    assert min(q.info["mixed_precision"]["sensitivity"].values()) > 0


def test_any_folder_of_images_will_do(tmp_path: Path) -> None:
    """From the command line, with images that lie flat in a folder, to the overflows of a narrow accumulator."""
    network = ptq.load_model("vit_digits", num_classes=0)
    rng = np.random.default_rng(0)
    for i in range(5):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    data = ptq.load_data(tmp_path, network)
    images, labels = data.read([1, 4])
    assert (len(data), images.shape, labels.tolist()) == (5, (2, 3, 32, 32), [1, 4])
    assert data.fingerprint_of([0, 1]) != data.fingerprint_of([1, 0])
    with pytest.raises(ValueError, match="holds no images in class folders"):
        ptq.load_data(tmp_path, ptq.load_model("vit_digits"))
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="holds no images: name a folder with some"):
        ptq.load_data(tmp_path / "none", network)


def test_extractors_from_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, flat = tmp_path / "q.safetensors", folder / "val" / "cat"

    def run(*arguments: object) -> dict[str, Any]:
        capsys.readouterr()
        assert app.main([*map(str, arguments), "--json"]) == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    quick = ["--images", 3, "-O", "n=4", "-O", "rounds=1", "--w-bits", 6, "--a-bits", 6]
    info = run("calibrate", "--model", "vit_digits", "--task", "embedding", "--data", flat, *quick, "-o", made)["info"]
    assert info["model_options"] == {"num_classes": 100, "in_chans": 3, "task": "embedding"}
    plain = run("evaluate", "--model", "vit_digits", "--num-classes", 0, "--data", flat)
    assert plain["neighbor_agreement"] == 100.0
    found = run("evaluate", made, "--data", flat)
    assert found["images"] == 3
    assert 0.8 < found["cosine"] < 1
    wide = run("simulate", made, "--data", flat, "--bits", 40)
    assert wide["simulated"] == wide["exact"] == {name: found[name] for name in ("cosine", "neighbor_agreement")}
    narrow = run("simulate", made, "--data", flat, "--bits", 12)
    assert narrow["simulated"]["cosine"] < found["cosine"]
