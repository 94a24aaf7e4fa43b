"""Rotations: the output stays, large channels are spread, checkpoints keep them, what cannot be rotated is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.errors import ArgumentTypeError
from ptqsim.ptq.calibration.folds.protocol import fold
from ptqsim.ptq.calibration.folds.rotations.learned import error
from ptqsim.ptq.calibration.folds.rotations.streams import streams
from ptqsim.ptq.network.foldings.head_rotation import HeadRotation
from ptqsim.ptq.network.foldings.kinds import folded
from ptqsim.ptq.network.foldings.stream_rotation import StreamNorm, StreamRotation
from tests.ptq.calibration.folds.files import read_back
from tests.ptq.networks import HALF, timm_model, vision_transformer

SIZES: dict[str, Any] = {
    "img_size": 32, "patch_size": 8, "num_classes": 10, "embed_dim": 32, "depth": 2, "num_heads": 2,
}  # fmt: skip


def trained_like(model: nn.Module) -> nn.Module:
    """The network with gains, biases and layer scales that are not those of an initialization."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 and ("norm" in name or "ls" in name):
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
            elif parameter.ndim == 1:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def streams_of(foldings: list[Any]) -> list[StreamRotation]:
    return [one for one in foldings if isinstance(one, StreamRotation)]


def check_same(model: nn.Module, changed: nn.Module, images: torch.Tensor) -> None:
    with torch.no_grad():
        expected = model(images)
        assert torch.allclose(changed(images), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize(("name", "heads"), [("vit_digits", 6), ("deit_digits", 5), ("swin_digits", 7)])
def test_outputs_are_those_of_the_network_to_rounding(name: str, heads: int) -> None:
    model = ptq.load_model(name)
    images = ptq.sample_images(ptq.load_data("digits", model, split="calibration"), 4, seed=0)
    changed, foldings = fold(model, images, [ptq.Rotation()])
    assert len(streams_of(foldings)) == 1  # a norm writes Swin's first stage
    assert len([one for one in foldings if isinstance(one, HeadRotation)]) == heads
    check_same(model, changed, images)
    weights = dict(model.named_parameters())
    first = streams_of(foldings)[0].writers[0]
    assert not torch.allclose(changed.get_parameter(f"{first}.weight"), weights[f"{first}.weight"], atol=1e-3)


VARIANTS: dict[str, dict[str, Any]] = {
    "layer scale": {"init_values": 0.5},
    "mean pooling": {"global_pool": "avg"},
    "mean pooling behind the norm": {"global_pool": "avg", "fc_norm": False},
    "registers": {"reg_tokens": 3, "no_embed_class": True},
    "no biases": {"qkv_bias": False, "proj_bias": False},
    "no positions": {"pos_embed": "none"},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_vit_are_rotated(name: str, images: torch.Tensor) -> None:
    model = trained_like(vision_transformer(**SIZES, **VARIANTS[name]))
    changed, foldings = fold(model, images, [ptq.Rotation()])
    assert len(streams_of(foldings)) == 1
    check_same(model, changed, images)


OTHERWISE: dict[str, dict[str, Any]] = {
    "a norm before the blocks": {"pre_norm": True},
    "a norm of the patches": {"embed_norm_layer": nn.LayerNorm},
    "no final norm": {"final_norm": False},
    "the greatest of the tokens": {"global_pool": "max"},
    "attention pooling": {"global_pool": "map"},
    "no head": {"num_classes": 0},
    "a norm without a weight": {"norm_layer": lambda size, **_: nn.LayerNorm(size, elementwise_affine=False)},
    "normalized queries": {"qk_norm": True},
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_other_streams_are_left(name: str, images: torch.Tensor) -> None:
    model = vision_transformer(**{**SIZES, **OTHERWISE[name]})
    assert streams(model, images) == []
    changed, foldings = fold(model, images, [ptq.Rotation()])
    assert streams_of(foldings) == []
    check_same(model, changed, images)


def test_other_blocks_are_left(images: torch.Tensor) -> None:
    from timm.models.vision_transformer import ParallelScalingBlock, ResPostBlock

    for block in (ResPostBlock, ParallelScalingBlock):
        assert streams(vision_transformer(**SIZES, block_fn=block), images) == []
    shared = vision_transformer(**SIZES)
    shared.blocks[1].mlp.fc2.weight = shared.blocks[0].mlp.fc2.weight  # type: ignore[index,union-attr]
    assert streams(shared, images) == []
    assert streams(nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), images) == []


@pytest.mark.parametrize("patch_norm", [True, False])
def test_stages_of_swin_are_rotated(patch_norm: bool, images: torch.Tensor) -> None:
    given: dict[str, Any] = {"embed_dim": 12, "depths": (1, 2, 2), "num_heads": (1, 2, 2), "num_classes": 5}
    name = "swin_tiny_patch4_window7_224"
    # windows of 7 x 7 do not fit into 8 x 8 patches: zeros are padded, and biases of norms cannot be moved
    model = timm_model(name, **given, img_size=32, patch_size=4, window_size=3)
    if not patch_norm:
        model.patch_embed.norm = nn.Identity()
    model = trained_like(model)
    with torch.no_grad():
        for parameter in (one for name, one in model.named_parameters() if "norm1.weight" in name):
            parameter.copy_(parameter.sign() * (parameter.abs() + 0.1))
    changed, foldings = fold(model, images, [ptq.Rotation()])
    rotated = streams_of(foldings)
    assert [len(one.matrix) for one in rotated] == ([24, 48] if patch_norm else [12, 24, 48])
    assert any(not norm.moved for one in rotated for norm in one.norms)
    check_same(model, changed, images)


def test_a_gain_near_zero_does_not_blow_up_a_bias(images: torch.Tensor) -> None:
    given: dict[str, Any] = {"embed_dim": 12, "depths": (1, 1), "num_heads": (1, 2), "num_classes": 5}
    model = timm_model("swin_tiny_patch4_window7_224", **given, img_size=32, patch_size=4, window_size=3)
    assert len(streams(model, images)) == 1
    with torch.no_grad():
        model.layers[1].blocks[0].norm1.weight[0] = 0.0  # type: ignore[index,union-attr]
    assert streams(model, images) == []


def test_a_large_channel_is_spread(own: Any, images: torch.Tensor) -> None:
    with torch.no_grad():
        own.patch_embed.proj.bias[5] += 30.0
        own.blocks[0].attn.qkv.bias[32 + 3] += 30.0  # of K

    def crest(model: nn.Module, name: str, part: slice) -> float:
        found: list[torch.Tensor] = []
        handle = model.get_submodule(name).register_forward_hook(lambda _m, _a, out: found.append(out))
        with torch.no_grad():
            model(images)
        handle.remove()
        values = found[0][..., part]
        return float(values.abs().max() / values.square().mean().sqrt())

    changed, _ = fold(own, images, [ptq.Rotation()])
    for name, part in (("blocks.0.norm1", slice(None)), ("blocks.0.attn.qkv", slice(32, 48))):
        assert crest(changed, name, part) < 0.7 * crest(own, name, part)


def test_norms_have_neither_gain_nor_bias(images: torch.Tensor) -> None:
    model = trained_like(vision_transformer(**SIZES, init_values=0.5))
    changed, _ = fold(model, images, [ptq.Rotation()])
    for name, parameter in changed.named_parameters():
        if "norm" in name or ".ls" in name:
            assert torch.equal(parameter, torch.full_like(parameter, float("bias" not in name))), name


def test_a_part_may_be_rotated_alone(model: nn.Module, images: torch.Tensor) -> None:
    for option, changes in (("stream", "mlp.fc1"), ("scores", "attn.qkv"), ("values", "attn.proj")):
        options = {**dict.fromkeys(("stream", "scores", "values"), False), option: True}
        changed, _ = fold(model, images, [ptq.Rotation(**options)])
        names = {
            name for name, value in model.named_parameters() if not torch.equal(value, changed.get_parameter(name))
        }
        assert f"blocks.0.{changes}.weight" in names
        assert ("patch_embed.proj.weight" in names) == (option == "stream")
        assert ("blocks.0.attn.proj.weight" in names) == (option != "scores")
        check_same(model, changed, images)


def test_learning_lowers_the_error_of_rounded_products(own: Any, images: torch.Tensor) -> None:
    (stream,) = streams(own, images)
    drawn, learned = (
        streams_of(list(ptq.Rotation(steps=steps, bits=3).foldings(own, images)))[0].matrix for steps in (0, 40)
    )
    before, after = (error(own, images, stream, matrix, 3) for matrix in (drawn, learned))
    assert after < 0.95 * before
    for matrix in (drawn, learned):
        size = len(matrix)
        assert torch.allclose(matrix @ matrix.T, torch.eye(size), atol=1e-6)
        assert torch.allclose(matrix.sum(dim=1), torch.ones(size), atol=1e-5)
    changed, _ = fold(own, images, [ptq.Rotation(steps=5)])
    check_same(own, changed, images)


def test_a_seed_gives_the_same_bits_on_any_number_of_threads(model: nn.Module, images: torch.Tensor) -> None:
    threads = torch.get_num_threads()
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append(fold(model, images, [ptq.Rotation(steps=3)])[0].state_dict())
    torch.set_num_threads(threads)
    other = fold(model, images, [ptq.Rotation(seed=1)])[0].state_dict()
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name]), name
    assert not torch.equal(other["pos_embed"], found[0]["pos_embed"])


def test_a_checkpoint_has_the_rotations(images: torch.Tensor, tmp_path: Path) -> None:
    model = trained_like(vision_transformer(**SIZES, init_values=0.5))
    folds = [ptq.Rotation(), ptq.Smoothing()]
    made = ptq.calibrate(model, images, w_bits=6, a_bits=6, n=8, rounds=1, folds=folds)
    assert [one["fold"] for one in made.info["folds"]] == ["rotation", "smoothing"]
    read = read_back(made, model, images, tmp_path)
    check_same(model, read, images)


def test_an_integer_only_network_takes_rotations(own: Any, images: torch.Tensor) -> None:
    own.pretrained_cfg = HALF
    made = ptq.calibrate(own, images, n=8, rounds=1, folds=[ptq.Rotation()], integer_only=True)
    exact = own(images).detach().double()
    made.mode = "integer_only"  # type: ignore[assignment]
    assert float((made.logits(images) - exact).abs().max()) < 0.1 * float(exact.abs().max())


def test_rotations_belong_to_a_network(model: nn.Module) -> None:
    one = torch.eye(32)
    norm = StreamNorm("blocks.0.norm1", ("blocks.0.attn.qkv",), True)
    wrong = [
        HeadRotation("nowhere", "blocks.0.attn.proj", torch.eye(16), torch.eye(16)),
        HeadRotation("blocks.0.attn.qkv", "nowhere", torch.eye(16), torch.eye(16)),
        StreamRotation(torch.eye(31), (norm,), ()),
        StreamRotation(one, (StreamNorm("nowhere", (), True),), ()),
        StreamRotation(one, (StreamNorm("blocks.0.norm1", ("nowhere",), True),), ()),
        StreamRotation(one, (norm,), ("nowhere",)),
        StreamRotation(one, (norm,), ("blocks.0.attn.proj",), (("blocks.0.ls1", "blocks.0.attn.proj"),)),
        StreamRotation(one, (norm,), (), (), ("nowhere",)),
    ]
    for rotation in wrong:
        with pytest.raises(ValueError, match="name the network that it was calibrated from"):
            folded(model, [rotation])


def test_options() -> None:
    with pytest.raises(ValueError, match="nothing would be rotated"):
        ptq.Rotation(stream=False, scores=False, values=False)
    with pytest.raises(ValueError, match="legal with stream=False is steps=0"):
        ptq.Rotation(stream=False, steps=3)
    with pytest.raises(ValueError, match=r"steps .*try 0"):
        ptq.Rotation(steps=-1)
    with pytest.raises(ValueError, match="bits"):
        ptq.Rotation(bits=1)
    wrong: Any = "yes"
    with pytest.raises(ArgumentTypeError, match="stream must be True or False"):
        ptq.Rotation(stream=wrong)


@pytest.mark.parametrize(("name", "steps"), [("rotation", 0), ("learned_rotation", 100)])
def test_command(name: str, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: nn.Module) -> None:
    from ptqsim.cli.network import calibrate as command

    monkeypatch.setattr(command, "load_network", lambda *args: model)
    path = tmp_path / "m.safetensors"
    arguments = ["calibrate", "--images", "4", "-O", "n=4", "-O", "rounds=1", "-o", str(path)]
    assert app.main([*arguments, "--fold", name]) == 0
    (one,) = ptq.load(path, model).info["folds"]
    assert (one["fold"], one["steps"]) == ("rotation", steps)
