"""Mixed precision: sensitivities against NumPy and an exact Hessian, allocations against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ptqsim import ptq
from ptqsim.ptq.calibration.mixed_precision.allocate import Allocation, frontier, optimum, pareto
from ptqsim.ptq.calibration.mixed_precision.hessian import hutchinson_traces
from ptqsim.ptq.calibration.mixed_precision.modules import transformer_modules
from ptqsim.ptq.calibration.mixed_precision.nuclear_norm import nuclear_norm
from tests.ptq.networks import timm_model

FEW = {"n": 6, "rounds": 1}


def random_allocation(seed: int, modules: int = 4, widths: int = 3, slack: float = 0.5) -> Allocation:
    rng = np.random.default_rng(seed)
    bits = np.arange(2, 2 + widths)
    size = rng.integers(1, 9, modules)[:, None] * bits
    sensitivity = rng.uniform(0.1, 3, modules)
    omega = sensitivity[:, None] * rng.uniform(0.5, 2, (modules, 1)) * 4.0**-bits * rng.uniform(0.7, 1.3, size.shape)
    low, high = size[:, 0].sum(), size[:, -1].sum()
    return Allocation(omega, size.astype(float), sensitivity, float(low + slack * (high - low)))


def every_choice(allocation: Allocation) -> list[np.ndarray]:
    modules, widths = allocation.omega.shape
    return [np.array(choice) for choice in itertools.product(range(widths), repeat=modules)]


@pytest.mark.parametrize("slack", [0.0, 0.3, 0.7, 1.0])
def test_the_integer_program_finds_what_brute_force_finds(slack: float) -> None:
    for seed in range(6):
        allocation = random_allocation(seed, slack=slack)
        fitting = [c for c in every_choice(allocation) if allocation.taken(c) <= allocation.budget]
        found = optimum(allocation)
        assert allocation.taken(found) <= allocation.budget
        assert allocation.cost(found) == pytest.approx(min(map(allocation.cost, fitting)), rel=1e-9)


@pytest.mark.parametrize("slack", [0.0, 0.3, 0.7, 1.0])
def test_the_paper_s_choice_is_the_best_that_follows_the_sensitivity(slack: float) -> None:
    for seed in range(6):
        allocation = random_allocation(seed, modules=5, slack=slack)
        order = np.argsort(-allocation.sensitivity)
        follows = [c for c in every_choice(allocation) if (np.diff(c[order]) <= 0).all()]
        best = min(allocation.cost(c) for c in follows if allocation.taken(c) <= allocation.budget)
        found = pareto(allocation)
        assert (np.diff(found[order]) <= 0).all()
        assert allocation.cost(found) == pytest.approx(best, rel=1e-12)
        assert allocation.cost(found) >= allocation.cost(optimum(allocation)) * (1 - 1e-9)


def test_the_frontier_holds_what_nothing_beats_in_both() -> None:
    allocation = random_allocation(3, modules=5)
    order = np.argsort(-allocation.sensitivity)
    follows = [c for c in every_choice(allocation) if (np.diff(c[order]) <= 0).all()]
    points = {(allocation.taken(c), round(allocation.cost(c), 12)) for c in follows}
    expected = {p for p in points if not any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in points)}
    assert {(allocation.taken(c), round(allocation.cost(c), 12)) for c in frontier(allocation)} == expected


def test_a_size_that_cannot_be_met_is_named() -> None:
    allocation = random_allocation(0)
    with pytest.raises(ValueError, match="raise model_size"):
        Allocation(allocation.omega, allocation.size, allocation.sensitivity, 1.0)


def test_nuclear_norm_is_numpy_s() -> None:
    matrices = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    expected = sum(np.linalg.norm(m.double().numpy(), "nuc") for m in matrices.flatten(0, 1))
    assert nuclear_norm(matrices) == pytest.approx(expected, rel=1e-6)


def test_hutchinson_estimates_the_traces_of_the_exact_hessian() -> None:
    """A network of 30 weights; the estimate lies within four standard errors, 2 ||off-diagonal||^2 / probes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 2, (20,), generator=generator)
    sizes = {"first": (4, 5), "second": (5, 2)}
    values = {name: torch.randn(size, generator=generator, dtype=torch.float64) for name, size in sizes.items()}

    def loss_of(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(torch.tanh(x @ first) @ second, labels)

    blocks = torch.autograd.functional.hessian(loss_of, tuple(values.values()))
    flat = torch.cat(
        [torch.cat([b.reshape(r.numel(), c.numel()) for b, c in zip(row, values.values(), strict=True)], 1)
         for row, r in zip(blocks, values.values(), strict=True)]
    )  # fmt: skip
    parameters = {name: value.clone().requires_grad_() for name, value in values.items()}
    probes = 4000
    found = hutchinson_traces(lambda: loss_of(**parameters), parameters, probes, torch.Generator().manual_seed(1))
    start = 0
    for name, value in values.items():
        rows = slice(start, start + value.numel())
        start += value.numel()
        trace = float(flat[rows, rows].trace())
        # v_i H_ij v_j: pairs within the block count twice, pairs with other blocks once
        own = flat[rows, rows] - torch.diag(flat[rows, rows].diagonal())
        other = flat[rows].square().sum() - flat[rows, rows].square().sum()
        error = float((2 * own.square().sum() + other) / probes) ** 0.5
        assert abs(found[name] - trace) < 4 * error
        assert error < 0.1 * abs(trace)


def test_modules_are_msa_and_mlp() -> None:

    for name, count in (("vit_tiny_patch16_224", 24), ("swin_tiny_patch4_window7_224", 24)):
        layers = ptq.QuantizedModel(timm_model(name)).layers
        modules = transformer_modules(layers)
        assert [m.kind for m in modules] == ["msa", "mlp"] * (count // 2)
        inside = {op.name for m in modules for op in m.operations}
        assert {len(m.operations) for m in modules if m.kind == "msa"} == {4}
        assert {len(m.operations) for m in modules if m.kind == "mlp"} == {2}
        left = {name.split(".")[-1] for name in layers.keys() - inside}
        assert left == ({"proj", "head"} if count == 24 and "vit" in name else {"proj", "reduction", "fc"})


@pytest.mark.parametrize("attention", ["scores", "probabilities"])
def test_omega_is_that_of_eq_17(model: nn.Module, images: torch.Tensor, attention: str) -> None:
    """The nuclear norms and errors of one MSA and one MLP module, recomputed from the modules themselves in NumPy."""
    from ptqsim.ptq.calibration.layer_cache import LayerCache
    from ptqsim.ptq.calibration.layerwise import Layerwise
    from ptqsim.ptq.calibration.methods import make_method
    from ptqsim.ptq.calibration.mixed_precision.nuclear_norm import module_errors

    with Layerwise(model, images, 0, LayerCache()) as layerwise:
        q = layerwise.quantized
        results = {
            bits: layerwise.run(
                make_method("base_ptq", {"n": 6}), dict.fromkeys(q.layers, (bits, bits)), lambda *_: None
            )
            for bits in (3, 5)
        }
        modules = transformer_modules(q.layers)
        norms, errors = module_errors(q, images, modules, results, attention)  # type: ignore[arg-type]
        block = q.model.blocks[1]  # type: ignore[index, union-attr]
        for index, kind in ((2, "msa"), (3, "mlp")):
            inputs: list[torch.Tensor] = []
            handle = (block.norm1 if kind == "msa" else block.norm2).register_forward_hook(
                lambda module, args, out, inputs=inputs: inputs.append(out)
            )
            with torch.no_grad():
                q.model(images)
            handle.remove()

            def looked_at(kind: str = kind, inputs: list[torch.Tensor] = inputs) -> np.ndarray:
                with torch.no_grad():
                    if kind == "mlp":
                        return block.mlp(inputs[0]).double().numpy()
                    query, key, _ = block.attn.split(inputs[0])
                    scores = block.attn.matmul_qk(query, key.transpose(-2, -1))
                    found = scores if attention == "scores" else (scores * block.attn.scale).softmax(-1)
                    return found.double().numpy()

            exact = looked_at()
            expected = sum(np.linalg.norm(m, "nuc") for m in exact.reshape(-1, *exact.shape[-2:])) / len(images)
            assert norms[index] == pytest.approx(expected, rel=1e-4)
            for column, bits in enumerate((3, 5)):
                for op in modules[index].operations:
                    results[bits][op.name].apply(op)
                    op.mode = "fake_quant"
                error = ((looked_at() - exact) ** 2).sum() / len(images)
                assert errors[index, column] == pytest.approx(error, rel=1e-3)
                for op in modules[index].operations:
                    op.formats, op.mode = None, "float"
    assert (errors[:, 0] > errors[:, 1]).all()


@pytest.mark.parametrize("options", [{}, {"solver": "milp"}, {"sensitivity": "hessian", "probes": 2}])
def test_widths_are_shared_inside_a_module_and_fit_the_size(
    model: nn.Module, images: torch.Tensor, options: dict[str, object]
) -> None:
    mixed = ptq.MixedPrecision(**options)  # type: ignore[arg-type]
    q = ptq.calibrate(model, images, w_bits=4, a_bits=4, mixed_precision=mixed, **FEW)
    report = q.info["mixed_precision"]
    assert report["options"]["widths"] == [2, 3, 4, 5, 6]
    weights = 0
    for name, op in q.layers.items():
        assert op.formats is not None
        bits = report["bits"].get(name.rpartition(".")[0], 4)
        assert {f.bits for f in (*op.formats.a, *op.formats.b)} == {bits}
        weights += 0 if op.constant_b is None else op.constant_b.numel() * bits
    assert report["model_size"] == pytest.approx(weights / 8e6)
    assert report["model_size"] <= report["uniform_size"] * (1 + 1e-12)
    assert report["omega"]["pareto"] >= report["omega"]["milp"] * (1 - 1e-9)
    assert report["gap"] == pytest.approx(report["omega"]["pareto"] / report["omega"]["milp"] - 1)


def test_formats_are_those_of_the_same_width_alone(model: nn.Module, images: torch.Tensor) -> None:
    mixed = ptq.calibrate(model, images, w_bits=4, a_bits=4, mixed_precision=ptq.MixedPrecision(), **FEW)
    for width in set(mixed.info["mixed_precision"]["bits"].values()):
        alone = ptq.calibrate(model, images, w_bits=width, a_bits=width, **FEW)
        for module, bits in mixed.info["mixed_precision"]["bits"].items():
            for name in mixed.layers:
                if bits == width and name.startswith(module):
                    assert mixed.layers[name].formats == alone.layers[name].formats


def test_a_smaller_size_is_kept_to(model: nn.Module, images: torch.Tensor) -> None:
    whole = ptq.calibrate(model, images, w_bits=4, a_bits=4, mixed_precision=ptq.MixedPrecision(), **FEW)
    uniform = whole.info["mixed_precision"]["uniform_size"]
    mixed = ptq.MixedPrecision(model_size=0.8 * uniform)
    small = ptq.calibrate(model, images, w_bits=4, a_bits=4, mixed_precision=mixed, **FEW)
    assert small.info["mixed_precision"]["model_size"] <= 0.8 * uniform
    with pytest.raises(ValueError, match="can't be met"):
        ptq.calibrate(
            model, images, w_bits=4, a_bits=4, mixed_precision=ptq.MixedPrecision(model_size=0.1 * uniform), **FEW
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sensitivity": "hesian"}, "hessian"),
        ({"attention": "score"}, "scores"),
        ({"solver": "milpp"}, "milp"),
        ({"model_size": -1.0}, "above 0"),
        ({"widths": (1, 4)}, "2 to 16"),
        ({"probes": 0}, "probes is 0"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ptq.MixedPrecision(**options)  # type: ignore[arg-type]


def test_two_targets_are_refused(model: nn.Module, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="the same width for both"):
        ptq.calibrate(model, images, w_bits=4, a_bits=6, mixed_precision=ptq.MixedPrecision())
