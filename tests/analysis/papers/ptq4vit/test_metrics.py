"""Fig. 5 against metrics computed with NumPy and SciPy, and a task loss from timm's own modules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.nn import functional as F

from analysis.framework.store import ArtifactStore
from analysis.papers.ptq4vit.fig5_metrics import LOSSES, Metrics, default_operands
from ptqsim import ptq

FC1 = "blocks.1.mlp.fc1:a"
QKV = "blocks.1.attn.qkv:b"
BITS = 5


@pytest.fixture
def options():
    return Metrics(operands=(FC1, QKV), bits=BITS, low=0.3, high=1.1, points=5, images=12)


def quantized(x, scale):
    """Eq. 2."""
    return np.clip(np.rint(x / scale), -(2 ** (BITS - 1)), 2 ** (BITS - 1) - 1) * scale


def trace(model, module, images):
    """Input, output without bias and gradient of the output of a fully-connected layer, as float64."""
    seen = {}
    handle = module.register_forward_hook(lambda _, args, out: (out.retain_grad(), seen.update(x=args[0], out=out))[0])
    logits = model(images)
    F.cross_entropy(logits, logits.argmax(dim=1), reduction="sum").backward()
    handle.remove()
    model.zero_grad()
    return [seen["x"].detach().double().numpy(), seen["out"].grad.double().numpy()]


def expected_distances(o, o_hat, grad):
    from scipy.spatial.distance import cosine
    from scipy.stats import pearsonr

    return {
        "mse": np.mean((o_hat - o) ** 2),
        "cosine": cosine(o.ravel(), o_hat.ravel()),
        "pearson": 1 - pearsonr(o.ravel(), o_hat.ravel()).statistic,
        "hessian": np.sum(grad**2 * (o_hat - o) ** 2),
    }


def cross_entropies(model, images, labels, target):
    """By true labels, and expected under the probabilities ``target``."""
    with torch.no_grad():
        log = log_softmax(model(images).double().numpy(), axis=1)
    return {"label_loss": -log[np.arange(len(labels)), labels].mean(), "task_loss": -(target * log).sum(axis=1).mean()}


def probabilities(model, images):
    with torch.no_grad():
        return softmax(model(images).double().numpy(), axis=1)


def distances(data, operand, metric):
    shown = data["curves"].where(operand=operand, metric=metric)
    return shown.values("scale"), shown.values("distance")


def test_an_activation(workload, tiny_model, options):
    data = options.compute(workload)
    fc1 = tiny_model.blocks[1].mlp.fc1
    x, grad = trace(tiny_model, fc1, ptq.sample_images(workload.calibration, 4, 0))
    weight = fc1.weight.detach().double().numpy()
    images, labels = workload.validation.read(range(12))
    target = probabilities(tiny_model, images)
    ratios, _ = distances(data, FC1, "mse")
    np.testing.assert_allclose(ratios, [0.3, 0.5, 0.7, 0.9, 1.1], rtol=1e-12)
    for i, ratio in enumerate(ratios):
        scale = ratio * np.abs(x).max() / 2 ** (BITS - 1)
        for metric, value in expected_distances(x @ weight.T, quantized(x, scale) @ weight.T, grad).items():
            assert distances(data, FC1, metric)[1][i] == pytest.approx(value, rel=1e-2)
        handle = fc1.register_forward_pre_hook(
            lambda _, args, s=scale: torch.from_numpy(quantized(args[0].numpy(), s)).float()
        )
        for loss, value in cross_entropies(tiny_model, images, labels, target).items():
            assert distances(data, FC1, loss)[1][i] == pytest.approx(value, abs=1e-5)
        handle.remove()


def test_a_weight_has_one_scale_per_part(workload, tiny_model, options):
    data = options.compute(workload)
    qkv = tiny_model.blocks[1].attn.qkv
    x, grad = trace(tiny_model, qkv, ptq.sample_images(workload.calibration, 4, 0))
    whole = qkv.weight.detach().clone()
    images, labels = workload.validation.read(range(12))
    target = probabilities(tiny_model, images)
    for i, ratio in enumerate(distances(data, QKV, "mse")[0]):
        parts, per_part = [], []
        for part, part_grad in zip(np.split(whole.double().numpy(), 3), np.split(grad, 3, axis=-1), strict=True):
            parts.append(quantized(part, ratio * np.abs(part).max() / 2 ** (BITS - 1)))
            per_part.append(expected_distances(x @ part.T, x @ parts[-1].T, part_grad))
        for metric in per_part[0]:
            value = np.mean([found[metric] for found in per_part])
            assert distances(data, QKV, metric)[1][i] == pytest.approx(value, rel=1e-2)
        try:
            qkv.weight.data = torch.from_numpy(np.concatenate(parts)).float()
            losses = cross_entropies(tiny_model, images, labels, target)
        finally:
            qkv.weight.data = whole
        for loss, value in losses.items():
            assert distances(data, QKV, loss)[1][i] == pytest.approx(value, abs=1e-5)


def test_choices_and_normalization(workload, options):
    data = options.compute(workload)
    for operand in (FC1, QKV):
        for metric in (*options.metrics, *LOSSES):
            shown = data["curves"].where(operand=operand, metric=metric)
            values = shown.values("distance")
            normalized = (values - values.min()) / (values.max() - values.min())
            np.testing.assert_allclose(shown.values("normalized"), normalized, atol=1e-12)
            (choice,) = data["choices"].where(operand=operand, metric=metric).records()
            best = np.flatnonzero(shown.values("scale") == choice["scale"])[0]
            assert values[best] == values.min()
            for loss in LOSSES:
                losses = distances(data, operand, loss)[1]
                assert choice[loss] == pytest.approx(losses[best], rel=1e-12)
                assert choice[f"{loss}_excess"] == pytest.approx(losses[best] - losses.min(), abs=1e-12)


def test_nothing_else_changes(workload, options):
    before = workload.network(workload.calibration_images)
    options.compute(workload)
    assert torch.equal(workload.network(workload.calibration_images), before)


def test_default_operands(workload):
    assert default_operands(workload) == (FC1, QKV, "blocks.1.attn.matmul_qk:a")


@pytest.mark.parametrize("operand", ["blocks.1.mlp.fc1:c", "blocks.1.mlp.fc1", "blocks.1.mlp.fc3:a"])
def test_an_unknown_operand(workload, operand):
    with pytest.raises(ValueError, match=r"unknown (operand|layer) .*blocks\.1\.mlp\.fc1"):
        Metrics(operands=(operand,)).compute(workload)


def test_the_control_is_the_squared_error_with_random_weights(workload, options):
    data = options.compute(workload)
    mse, random = (distances(data, FC1, metric)[1] for metric in ("mse", "random"))
    # E[g^2] = 1: a sum over 4 images x 17 tokens x 128 outputs of g^2 (o_hat - o)^2
    np.testing.assert_allclose(random / (4 * 17 * 128), mse, rtol=0.1)
    assert not np.allclose(random / (4 * 17 * 128), mse, rtol=1e-4)


def test_two_computations_give_the_same_data(workload, options, tmp_path):
    data = options.compute(workload)
    with replace(workload, store=ArtifactStore(tmp_path / "another")) as again:
        assert options.compute(again) == data


def test_an_unknown_metric():
    with pytest.raises(ValueError, match="Did you mean 'hessian'"):
        Metrics(metrics=("hesian",))


def test_an_operand_by_itself_is_the_same(workload, options):
    """The parts that run in processes of their own are those that the figure of several operands is made of."""
    both = options.compute(workload)
    parts = [part.data(workload) for _, part in options.tasks(workload)]
    assert len(parts) == 2
    for frame in ("curves", "choices"):
        assert both[frame].rows == tuple(row for part in parts for row in part[frame].rows)
