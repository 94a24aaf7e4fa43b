"""Image size, classes, channels and other arguments of a network by name, given or read from its checkpoint."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.cli.framework.pairs import parse_pairs, parse_size, spread
from tests.ptq.networks import timm_model


def saved(network: nn.Module, path: Path) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Weights of a network of timm for 96 pixels in place of 160."""
    torch.manual_seed(0)
    return saved(timm_model("test_vit", img_size=96, num_classes=7), tmp_path / "small.safetensors")


def of_timm(name: str, path: Path, classes: int, **arguments: Any) -> nn.Module:
    """The network as timm reads pretrained weights: from this file."""
    source = {"file": str(path), "num_classes": classes}
    import timm

    return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=source, num_classes=classes, **arguments)


def same(network: nn.Module, other: nn.Module) -> bool:
    state, expected = network.state_dict(), other.state_dict()
    return state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in expected)


def test_the_image_size_is_that_of_the_checkpoint(small: Path) -> None:
    network: Any = ptq.load_model("test_vit", checkpoint=small)
    assert network.patch_embed.img_size == (96, 96)
    assert same(network, of_timm("test_vit", small, 7, img_size=96))
    assert ptq.options_of(network) == {"img_size": [96, 96], "num_classes": 7, "in_chans": 3}


@pytest.mark.parametrize("size", [64, 160, (96, 128)])
def test_position_embeddings_are_resized_as_timm_does(small: Path, size: Any) -> None:
    network: Any = ptq.load_model("test_vit", checkpoint=small, img_size=size)
    assert same(network, of_timm("test_vit", small, 7, img_size=size))
    assert network.pos_embed.shape != torch.Size([1, 1 + 6 * 6, 64])
    sides = size if isinstance(size, tuple) else (size, size)
    assert network(torch.zeros(1, 3, *sides)).shape == (1, 7)


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # timm's own
def test_other_tables_of_positions_are_resized_when_asked(tmp_path: Path) -> None:
    """Swin's bias tables are of the size of its windows."""
    torch.manual_seed(0)
    name, depths = "swin_tiny_patch4_window7_224", (1, 1)
    original = timm_model(name, img_size=64, window_size=4, num_classes=3, depths=depths)
    path = saved(original, tmp_path / "w.safetensors")
    kwargs = {"window_size": 8, "depths": [1, 1]}
    with pytest.raises(ValueError, match=r"bias_table' of the checkpoint has shape"):
        ptq.load_model(name, checkpoint=path, model_kwargs=kwargs)
    network = ptq.load_model(name, checkpoint=path, img_size=128, model_kwargs=kwargs)
    assert same(network, of_timm(name, path, 3, img_size=128, window_size=8, depths=depths))


def test_class_tokens_beside_the_positions_are_told_from_patches(tmp_path: Path) -> None:
    """DINOv2's own files with registers have a position for the class token; timm has it in the token."""
    torch.manual_seed(0)
    kwargs: dict[str, Any] = {"depth": 1, "embed_dim": 32, "num_heads": 2}
    expected: Any = timm_model("vit_small_patch14_reg4_dinov2", img_size=56, **kwargs)
    state = {name: tensor.clone() for name, tensor in expected.state_dict().items()}
    state["register_tokens"], state["mask_token"] = state.pop("reg_token"), torch.zeros(1, 32)
    cls = torch.randn(1, 1, 32)
    state["pos_embed"] = torch.cat([cls, state["pos_embed"]], dim=1)
    state["cls_token"] = state["cls_token"] - cls
    save_file(state, tmp_path / "w.safetensors")
    network: Any = ptq.load_model(
        "vit_small_patch14_reg4_dinov2", checkpoint=tmp_path / "w.safetensors", model_kwargs=kwargs
    )
    assert network.patch_embed.img_size == (56, 56)
    assert torch.equal(network.pos_embed, expected.pos_embed)
    assert torch.allclose(network.cls_token, expected.cls_token, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 4])
def test_the_channels_are_those_of_the_checkpoint(channels: int, tmp_path: Path) -> None:
    path = saved(timm_model("test_vit", in_chans=channels), tmp_path / "w.safetensors")
    network: Any = ptq.load_model("test_vit", checkpoint=path)
    assert network.patch_embed.proj.in_channels == channels
    assert ptq.load_model("test_vit", checkpoint=path, in_chans=channels).num_classes == 1000
    with pytest.raises(ValueError, match=rf"in_chans was given as 3, and the checkpoint's .* takes {channels}"):
        ptq.load_model("test_vit", checkpoint=path, in_chans=3)


def test_a_head_is_left_out_when_asked(small: Path) -> None:
    network: Any = ptq.load_model("test_vit", checkpoint=small, num_classes=0)
    whole: Any = ptq.load_model("test_vit", checkpoint=small)
    images = torch.rand(2, 3, 96, 96)
    assert torch.equal(network(images), whole.forward_head(whole.forward_features(images), pre_logits=True))


def test_weights_without_a_head_are_those_of_a_feature_extractor(tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = timm_model("test_vit", num_classes=0)
    network = ptq.load_model("test_vit", checkpoint=saved(original, tmp_path / "w.safetensors"))
    assert same(network, original)
    with pytest.raises(ValueError, match="num_classes was given as 5, and the checkpoint's weights have no head"):
        ptq.load_model("test_vit", checkpoint=tmp_path / "w.safetensors", num_classes=5)


def test_arguments_reach_timm(small: Path) -> None:
    network: Any = ptq.load_model("test_vit", checkpoint=small, model_kwargs={"global_pool": "avg", "fc_norm": False})
    assert network.global_pool == "avg"
    assert ptq.options_of(network)["model_kwargs"] == {"global_pool": "avg", "fc_norm": False}
    assert ptq.load_model("test_vit", checkpoint=small, img_size=96, model_kwargs={"img_size": 96}) is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_classes": 8}, "num_classes was given as 8, and the checkpoint's head has 7 classes"),
        ({"num_classes": -1}, "num_classes must be an integer from 0"),
        ({"num_classes": 10**9}, "num_classes must be an integer from 0 to"),
        ({"in_chans": 0}, "in_chans must be an integer from 1"),
        ({"img_size": 0}, "img_size must be an integer from 1"),
        ({"img_size": 97}, "img_size is 97x97, and the patches of the network are 16x16"),
        ({"img_size": 10**6}, "img_size must be an integer from 1 to 4096"),
        ({"img_size": (96, 96, 96)}, r"img_size is \(96, 96, 96\); legal is one integer, or a pair"),
        ({"img_size": 96, "model_kwargs": {"img_size": 64}}, "img_size was given as .* choose one"),
        ({"model_kwargs": {"nonsense": 1}}, "test_vit can't be made with .*nonsense=1 .*nonsense"),
        ({"model_kwargs": {"embed_dim": 7}}, "test_vit can't be made with .*embed_dim=7"),
        (
            {"model_kwargs": {"checkpoint_path": "w.pth"}},
            "argument 'checkpoint_path' of the model is not passed to timm",
        ),
        ({"model_kwargs": {"pretrained_cfg_overlay": {}}}, "argument 'pretrained_cfg_overlay' .* is not passed"),
        ({"model_kwargs": {"no name": 1}}, "argument 'no name' of the model is no name"),
        ({"task": "classification", "num_classes": 0}, "task classification was asked for with num_classes=0"),
        ({"task": "embeding"}, "unknown task 'embeding'.*'embedding'"),
    ],
)
def test_contradictions_are_refused_in_one_line(small: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as told:
        ptq.load_model("test_vit", checkpoint=small, **options)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "options",
    [
        {"num_classes": "5"}, {"num_classes": True}, {"img_size": 96.0}, {"in_chans": 1.5}, {"model_kwargs": "a=1"},
        {"model_kwargs": {"a": {1, 2}}}, {"model_kwargs": {"a": float("nan")}}, {"task": 3},
    ],
)  # fmt: skip
def test_options_of_other_types_are_refused(small: Path, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"legal|must be"):
        ptq.load_model("test_vit", checkpoint=small, **options)


def test_detectors_and_pretrained_heads_are_as_they_are() -> None:
    pytest.importorskip("transformers")
    with pytest.raises(ValueError, match="detr_digits takes no option img_size"):
        ptq.load_model("detr_digits", img_size=64)
    with pytest.raises(ValueError, match="have 1000 classes: leave the option out"):
        ptq.load_model("deit_small", pretrained=True, num_classes=10)


def test_pairs_follow_their_option_as_in_the_scripts_of_timm() -> None:
    arguments = ["f", "--model-kwargs", "a=1", "b=(1, 2)", "c=x", "--data", "d=e", "g=h", "--model-kwargs", "i=2"]
    option = "--model-kwargs"
    assert spread(arguments) == [
        "f", option, "a=1", option, "b=(1, 2)", option, "c=x", "--data", "d=e", "g=h", option, "i=2",
    ]  # fmt: skip
    assert spread([option, "a=1", "--", "b=1"]) == [option, "a=1", "--", "b=1"]
    assert spread([option]) == [option]
    found = parse_pairs(
        option, ["a=1", "b=(1, 2)", "c=x", "d=True", "e=None", "f=1e-6", "g='1'", "h=a=b", "i=__import__('os')"]
    )
    assert found == {
        "a": 1, "b": (1, 2), "c": "x", "d": True, "e": None, "f": 1e-6, "g": "1", "h": "a=b", "i": "__import__('os')",
    }  # fmt: skip
    for text, words in ((["a"], "legal is KEY=VALUE"), (["=1"], "legal is KEY=VALUE"), (["a="], "legal is KEY=VALUE")):
        with pytest.raises(ValueError, match=words):
            parse_pairs(option, text)
    with pytest.raises(ValueError, match="has a twice"):
        parse_pairs(option, ["a=1", "a=2"])
    assert (parse_size("224"), parse_size("224x160")) == (224, (224, 160))
    for text in ("", "x", "224x", "-1", "2.5", "١"):
        with pytest.raises(ValueError, match="try 224 or 224x160"):
            parse_size(text)


def test_a_calibrated_file_says_how_its_model_is_made(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command line: other images, pooling and classes; every later command needs none of it."""
    data = ["--data", str(folder)]
    made = tmp_path / "q.safetensors"
    small = saved(timm_model("test_vit", img_size=96, num_classes=2), tmp_path / "small.safetensors")
    network: Any = ptq.load_model(
        "test_vit", checkpoint=small, img_size=64, model_kwargs={"global_pool": "avg", "fc_norm": False}
    )
    assert network.num_classes == 2
    arguments = ["--model", "test_vit", "--checkpoint", str(small), "--img-size", "64"]
    kwargs = ["--model-kwargs", "global_pool=avg", "fc_norm=False"]
    quick = ["--method", "percentile", "--images", "2"]
    assert app.main(["calibrate", *arguments, *kwargs, *data, *quick, "-o", str(made)]) == 0
    loaded: Any = ptq.load_with_model(made)
    assert (loaded.model.patch_embed.img_size, loaded.model.global_pool) == ((64, 64), "avg")
    assert torch.equal(loaded.model.pos_embed, network.pos_embed)
    capsys.readouterr()
    assert app.main(["evaluate", str(made), *data, "--mode", "fake_quant", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 6
    assert app.main(["verify", str(made), *data, "--images", "6", "--outputs", "12"]) == 0
    original: Any = ptq.load_with_model(made, checkpoint=small)
    original.mode = "float"
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(original(images), network(images))
    for option in (["--img-size", "64"], ["--num-classes", "2"], kwargs, ["--task", "embedding"]):
        capsys.readouterr()
        assert app.main(["evaluate", str(made), *data, *option]) == 2
        assert re.search(rf"says itself how its model is made: leave {option[0]} out", capsys.readouterr().err)
    other = saved(timm_model("test_vit", img_size=96, num_classes=2), tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"was calibrated from other weights than .*other\.safetensors"):
        ptq.load_with_model(made, checkpoint=other)


def test_images_are_of_the_size_of_the_network(small: Path, tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        Image.new("RGB", (200, 120)).save(tmp_path / "data" / label / "x.png")
    for size in (None, 64, (96, 128)):
        network: Any = ptq.load_model("test_vit", checkpoint=small, img_size=size)
        images, _ = ptq.load_data(tmp_path / "data", network).read([0, 1])
        assert images.shape[2:] == network.patch_embed.img_size
