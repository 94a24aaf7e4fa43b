"""Networks as users give them: taken for what they compute, or refused by the name of what is in the way."""

from __future__ import annotations

import copy
import types
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from ptqsim import ptq
from ptqsim.ptq.network.admission.alterations import alteration
from ptqsim.ptq.network.wrapping.wrap import wrap
from tests.ptq.networks import vision_transformer

QUICK: dict[str, Any] = {"method": "percentile", "w_bits": 6, "a_bits": 6}


class Doubled(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


class Doubling(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


class LowRank(nn.Module):
    """The addition of adapters such as LoRA, as a module around the layer."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base, self.down, self.up = base, nn.Linear(base.in_features, 2), nn.Linear(2, base.out_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.base(x) + self.up(self.down(x))
        return out


def patched(layer: Any) -> None:
    layer.forward = lambda x: 2 * F.linear(x, layer.weight, layer.bias)


def subclassed(layer: Any) -> None:
    layer.__class__ = Doubled


def old_weight_norm(layer: Any) -> None:
    with warnings.catch_warnings(action="ignore"):
        nn.utils.weight_norm(layer)


ALTERED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "hook": (lambda layer: layer.register_forward_hook(lambda m, args, out: 2 * out), "has a forward hook"),
    "pre-hook": (
        lambda layer: layer.register_forward_pre_hook(lambda m, args: (2 * args[0],)),
        "has a forward pre-hook",
    ),
    "backward hook": (lambda layer: layer.register_full_backward_hook(lambda *_: None), "has a backward hook"),
    "patched": (patched, "has a forward of its own"),
    "subclass": (subclassed, "is a Doubled, a subclass of Linear with a forward of its own"),
    "weight_norm": (parametrizations.weight_norm, "has a parametrization of its weight"),
    "spectral_norm": (parametrizations.spectral_norm, "has a parametrization of its weight"),
    "old weight_norm": (old_weight_norm, "has a weight that a hook computes"),
    "pruned": (lambda layer: prune.l1_unstructured(layer, "weight", 0.5), "has a pruned weight"),
}


@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_layer_is_refused_by_its_name(how: str, own: Any, images: torch.Tensor) -> None:
    alter, words = ALTERED[how]
    alter(own.blocks[1].mlp.fc1)
    with pytest.raises(ValueError, match=rf"operation 'blocks\.1\.mlp\.fc1' {words}") as told:
        ptq.calibrate(own, images, **QUICK)
    assert "\n" not in str(told.value)


def test_what_the_errors_advise_makes_the_layer_plain(own: Any, images: torch.Tensor) -> None:
    parametrizations.weight_norm(own.blocks[0].mlp.fc1)
    nn.utils.parametrize.remove_parametrizations(own.blocks[0].mlp.fc1, "weight")
    prune.l1_unstructured(own.blocks[1].mlp.fc1, "weight", 0.5)
    prune.remove(own.blocks[1].mlp.fc1, "weight")
    q = ptq.calibrate(own, images, **QUICK)
    q.mode = "float"
    assert torch.equal(q(images), own(images))


def test_altered_attention_and_patches_are_refused(model: nn.Module, images: torch.Tensor) -> None:
    def attention(network: Any) -> None:
        network.blocks[0].attn.register_forward_hook(lambda m, args, out: 2 * out)

    def dropout(network: Any) -> None:
        network.blocks[0].attn.proj_drop = Doubling()

    def probabilities(network: Any) -> None:
        network.blocks[0].attn.attn_drop.register_forward_hook(lambda m, args, out: 2 * out)

    def patches(network: Any) -> None:
        network.patch_embed.proj.register_forward_hook(lambda m, args, out: 2 * out)

    for alter, words in (
        (attention, r"'blocks\.0\.attn' has a forward hook"),
        (dropout, r"'blocks\.0\.attn' has a Doubling for its proj_drop"),
        (probabilities, r"'blocks\.0\.attn' has an altered attn_drop, which has a forward hook"),
        (patches, r"'patch_embed\.proj' has a forward hook"),
    ):
        network = copy.deepcopy(model)
        alter(network)
        with pytest.raises(ValueError, match=words):
            ptq.QuantizedModel(network)


def test_what_is_beside_the_products_is_kept(own: Any, images: torch.Tensor) -> None:
    """Hooks of blocks and of the whole, other activations, and adapters of plain layers belong to the network."""
    own.register_forward_hook(lambda m, args, out: out + 1)
    own.blocks[0].register_forward_hook(lambda m, args, out: 1.5 * out)
    own.blocks[1].mlp.act = nn.SiLU()
    own.blocks[1].mlp.fc1 = LowRank(own.blocks[1].mlp.fc1)
    own.train()
    q = ptq.calibrate(own, images, **QUICK)
    assert own.training
    q.mode = "float"
    assert torch.equal(q(images), own.eval()(images))
    assert {"blocks.1.mlp.fc1.base", "blocks.1.mlp.fc1.down", "blocks.1.mlp.fc1.up"} <= q.layers.keys()
    assert q.layers["blocks.1.mlp.fc2"].a_kind == "uniform"


@pytest.mark.parametrize("name", ["norm", "drop1"])
def test_what_stands_behind_a_gelu_makes_its_output_another(name: str, own: Any) -> None:
    setattr(own.blocks[0].mlp, name, Doubling())
    _, operations = wrap(own)
    assert operations["blocks.0.mlp.fc2"].a_kind == "uniform"
    assert operations["blocks.1.mlp.fc2"].a_kind == "gelu"


def test_a_replacement_that_computes_something_else_is_caught_on_images(
    model: nn.Module, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of the class itself, which no look at the modules can find."""
    right = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: 1.001 * right(self, x))
    assert alteration(model.head, nn.Linear) is None  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"layer 'blocks\.0\.attn\.qkv' \(Linear\) .*: it is 0\.1 % off"):
        ptq.calibrate(model, images, **QUICK)


def test_a_module_that_does_not_survive_copying_is_named(own: Any, images: torch.Tensor) -> None:
    class ByIdentity(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.home = id(self)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x if id(self) == self.home else x

    own.blocks[1].ls1 = ByIdentity()
    with pytest.raises(ValueError, match=r"module 'blocks\.1\.ls1' computes something else once the model is copied"):
        ptq.capture(own, images)


def test_a_module_in_two_places_is_refused(model: nn.Module, images: torch.Tensor) -> None:
    block, layer = copy.deepcopy(model), copy.deepcopy(model)
    block.blocks[1] = block.blocks[0]  # type: ignore[index, operator]
    with pytest.raises(ValueError, match=r"operation 'blocks\.1' is the same module as 'blocks\.0'"):
        ptq.calibrate(block, images, **QUICK)
    layer.blocks[1].mlp.fc1 = layer.blocks[0].mlp.fc1  # type: ignore[index, union-attr]
    with pytest.raises(ValueError, match=r"'blocks\.1\.mlp\.fc1' is the same module as 'blocks\.0\.mlp\.fc1'"):
        ptq.calibrate(layer, images, **QUICK)


def test_a_layer_that_runs_twice_or_never_is_refused(model: nn.Module, images: torch.Tensor) -> None:
    def forward(self: Any, x: torch.Tensor, **options: Any) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        again: torch.Tensor = x + self.mlp(self.norm2(x))
        return again

    twice, never = copy.deepcopy(model), copy.deepcopy(model)
    twice.blocks[0].forward = types.MethodType(forward, twice.blocks[0])  # type: ignore[index, union-attr]
    never.spare = nn.Linear(3, 3)
    for run in (ptq.calibrate, ptq.capture, lambda network, images: ptq.capture(ptq.QuantizedModel(network), images)):
        with pytest.raises(ValueError, match=r"layer 'blocks\.0\.mlp\.fc1' runs more than once"):
            run(twice, images)
        with pytest.raises(ValueError, match="layer 'spare' takes no part in the forward pass"):
            run(never, images)


def test_networks_that_give_no_logits_are_refused(model: nn.Module, images: torch.Tensor) -> None:
    def features(pool: str) -> nn.Module:
        sizes: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
        return vision_transformer(**sizes, num_classes=0, global_pool=pool)

    headless, pair = copy.deepcopy(model), copy.deepcopy(model)
    headless.head = nn.Identity()
    pair.register_forward_hook(lambda m, args, out: (out, out))
    for network, words in (
        (features(""), r"gives outputs \(2, 17, 32\) for 2 images; legal is a feature extractor"),
        (headless, "num_classes=10 and gives 32 values per image; legal is a classifier"),
        (pair, "the model gives a tuple; legal is a classifier"),
    ):
        with pytest.raises(ValueError, match=words):
            ptq.calibrate(network, images, **QUICK)
    with pytest.raises(ValueError, match="top-1 is of a classifier"):
        ptq.evaluate(features("token"), ptq.load_data("digits", model), limit=2)


def closure_over_forward(network: Any) -> None:
    forward = network.forward
    network.forward = lambda images: 2 * forward(images)


def default_of_forward(network: Any) -> None:
    network.forward = lambda images, forward=network.forward: forward(images)


def nested_closure(network: Any) -> None:
    def run(images: torch.Tensor) -> torch.Tensor:
        return network.head(network.forward_features(images)[:, 0])

    network.forward = lambda images: run(images)


def block(network: Any) -> None:
    forward = network.blocks[1].forward
    network.blocks[1].forward = lambda *args, **kwargs: forward(*args, **kwargs)


def features(network: Any) -> None:
    forward = network.forward_features
    network.forward_features = lambda *args, **kwargs: forward(*args, **kwargs)


def hook_on_a_block(network: Any) -> None:
    network.blocks[1].register_forward_hook(lambda module, args, output: output + network.pos_embed.mean())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (closure_over_forward, "^the model has a forward of its own, set on the module, that refers to the model"),
        (default_of_forward, "^the model has a forward of its own, set on the module, that refers to the model"),
        (nested_closure, "^the model has a forward of its own, set on the module, that refers to the model"),
        (block, "^module 'blocks.1' of the model has a forward of its own, set on the module, that refers"),
        (features, "^the model has a forward_features of its own, set on the module, that refers"),
        (hook_on_a_block, "^module 'blocks.1' of the model has a forward hook that refers to the model itself"),
    ],
)
def test_functions_that_a_copy_would_share_are_refused_by_name(
    own: Any, images: torch.Tensor, change: Callable[[Any], None], reason: str
) -> None:
    change(own)
    with pytest.raises(ValueError, match=reason):
        ptq.calibrate(own, images, method="base_ptq", n=2)


def test_a_method_and_a_function_that_a_copy_takes_along(own: Any, images: torch.Tensor) -> None:
    own.forward = types.MethodType(lambda self, x: 2 * type(self).forward(self, x), own)
    own.blocks[0].mlp.act.forward = torch.relu
    quantized = ptq.calibrate(own, images, method="base_ptq", n=2)
    quantized.mode = "float"
    with torch.no_grad():
        assert torch.equal(quantized(images), own(images))
