"""Networks from where users have them, and their evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ptqsim import ptq
from ptqsim.ptq.network.input_size import input_size
from tests.ptq.networks import timm_model


def test_the_bundled_model_loads_and_is_accurate() -> None:
    model = ptq.load_model("vit_digits")
    result = ptq.evaluate(model, ptq.load_data("digits", model), limit=1000)
    assert 80 <= result.top1 <= 97


def test_a_timm_model_from_a_local_checkpoint_calibrates_on_a_folder(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = timm_model("test_vit", num_classes=2)
    save_file({k: v.contiguous() for k, v in original.state_dict().items()}, tmp_path / "w.safetensors")
    model = ptq.load_model("test_vit", checkpoint=tmp_path / "w.safetensors")
    data = ptq.load_data(folder, model)
    assert len(data) == 6
    images, labels = data.read(range(6))
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    with torch.no_grad():
        assert torch.equal(model(images), original(images))
    samples = ptq.sample_images(ptq.load_data(folder, model, split="calibration"), 4, seed=1)
    q = ptq.calibrate(model, samples, w_bits=8, a_bits=8, n=5)
    q.mode = "integer"
    result = ptq.evaluate(q, data)
    assert result.images == 6


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("vit_digit", ["vit_digits"]),
        ("vit_smal", ["vit_small"]),
        ("swin_tinny", ["swin_tiny", "swin_s3_tiny_224"]),  # the nearest short name, and the nearest of timm's
        ("deit_base_patch16", ["deit_base", "deit_base_patch16_224"]),
        ("vit_tiny_patch16_22", ["vit_tiny_patch16_224"]),
        ("vit_base_patch16_224.augreg_in1", ["vit_base_patch16_224.augreg_in1k"]),
    ],
)
def test_the_nearest_names_are_suggested(given: str, nearest: list[str]) -> None:
    with pytest.raises(ValueError, match="unknown") as told:
        ptq.load_model(given)
    suggested = str(told.value).partition("Did you mean")[2]
    assert all(f"'{name}'" in suggested for name in nearest)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_small", "swin_base_384"])
def test_a_network_without_weights_names_both_ways_to_them(name: str) -> None:
    with pytest.raises(ValueError, match=r"no weights were given for .*--pretrained .*--checkpoint"):
        ptq.load_model(name)


def test_weights_that_can_not_be_fetched_name_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []

    def offline(name: str, *, pretrained: bool, **arguments: object) -> None:
        asked.append((name, pretrained))
        raise ConnectionError("no route to host")

    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(
        ValueError, match=r"could not be fetched \(no route to host\): check the network, .*--checkpoint"
    ):
        ptq.load_model("swin_tiny", pretrained=True)
    assert asked == [("swin_tiny_patch4_window7_224.ms_in1k", True)]


def test_files_of_the_hub_are_read_under_their_old_names(tmp_path: Path) -> None:
    """timm's Swin files are of its first release: merging at the end of the stage before, and index tables stored."""
    torch.manual_seed(0)
    original = timm_model("swin_tiny_patch4_window7_224", num_classes=5)
    stored: dict[str, torch.Tensor] = {}
    for key, tensor in original.state_dict().items():
        _, _, rest = key.partition(".downsample.")
        stage = int(key.split(".")[1]) if rest else 0
        stored[f"layers.{stage - 1}.downsample.{rest}" if rest else key] = tensor.contiguous()
        if key.endswith("relative_position_bias_table"):
            stored[key.replace("bias_table", "index")] = torch.zeros(49, 49, dtype=torch.int64)
    stored["head.weight"], stored["head.bias"] = stored.pop("head.fc.weight"), stored.pop("head.fc.bias")
    save_file(stored, tmp_path / "hub.safetensors")
    model = ptq.load_model("swin_tiny", checkpoint=tmp_path / "hub.safetensors", num_classes=5)
    assert all(torch.equal(tensor, original.state_dict()[key]) for key, tensor in model.state_dict().items())
    with pytest.raises(ValueError, match="image size or number of classes"):  # nothing is resized without a word
        ptq.load_model("swin_base_384", checkpoint=tmp_path / "hub.safetensors", num_classes=5)


@pytest.mark.parametrize("name", ["test_vit", "deit_tiny_distilled_patch16_224", "swin_s3_tiny_224"])
def test_the_number_of_classes_is_that_of_the_checkpoint(name: str, tmp_path: Path) -> None:
    original = timm_model(name, num_classes=7)
    save_file({key: tensor.contiguous() for key, tensor in original.state_dict().items()}, tmp_path / "w.safetensors")
    model = ptq.load_model(name, checkpoint=tmp_path / "w.safetensors")
    assert model.num_classes == 7
    assert not model.training


def test_wrong_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has its own weights"):
        ptq.load_model("vit_digits", pretrained=True)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        ptq.load_model("vit_digits", checkpoint=tmp_path / "none.safetensors")
    weights = ptq.BUNDLED["vit_digits"].build().state_dict()
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(ValueError, match="truncated"):
        ptq.load_model("vit_digits", checkpoint=tmp_path / "cut.safetensors")
    save_file({k: v for k, v in weights.items() if k != "head.bias"}, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match=r"no tensor 'head\.bias'"):
        ptq.load_model("vit_digits", checkpoint=tmp_path / "part.safetensors")
    save_file(weights | {"extra": torch.zeros(1)}, tmp_path / "more.safetensors")
    with pytest.raises(ValueError, match="'extra'"):
        ptq.load_model("vit_digits", checkpoint=tmp_path / "more.safetensors")
    save_file(weights | {"head.bias": torch.zeros(7)}, tmp_path / "shape.safetensors")
    with pytest.raises(ValueError, match=r"shape \(7,\)"):
        ptq.load_model("vit_digits", checkpoint=tmp_path / "shape.safetensors")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_floats_are_converted_exactly(dtype: torch.dtype, tmp_path: Path) -> None:
    exact = {
        k: v.to(torch.bfloat16).to(torch.float16) for k, v in ptq.BUNDLED["vit_digits"].build().state_dict().items()
    }
    stored = {name: tensor.to(dtype) for name, tensor in exact.items()}
    save_file(stored, tmp_path / "w.safetensors")
    model = ptq.load_model("vit_digits", checkpoint=tmp_path / "w.safetensors")
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert np.array_equal(tensor.numpy(), stored[name].double().numpy())


def test_tensors_that_are_no_weights_are_refused_by_name(tmp_path: Path) -> None:
    weights = ptq.BUNDLED["vit_digits"].build().state_dict()
    name, path = "blocks.0.mlp.fc1.weight", tmp_path / "w.safetensors"
    nan, infinite = weights[name].clone(), weights[name].clone()
    nan[2, 5], infinite[1, 3] = torch.nan, -torch.inf
    for tensor, words in (
        ((weights[name] * 100).to(torch.int8), r"is torch\.int8, where vit_digits has torch\.float32; legal is"),
        (weights[name].to(torch.uint8), r"is torch\.uint8, where"),
        (weights[name].to(torch.bool), r"is torch\.bool, where"),
        (weights[name].to(torch.complex64), r"is torch\.complex64, where"),
        (weights[name].to(torch.float8_e4m3fn), r"is torch\.float8_e4m3fn, where"),
        (weights[name].double() + 1e-12, r"is torch\.float64, and torch\.float32, which vit_digits has, can't hold"),
    ):
        save_file(weights | {name: tensor}, path)
        with pytest.raises(ValueError, match=f"tensor '{name}' of the checkpoint {words}"):
            ptq.load_model("vit_digits", checkpoint=path)
    for tensor, place in ((nan, r"nan at index \(2, 5\)"), (infinite, r"-inf at index \(1, 3\)")):
        save_file(weights | {name: tensor}, path)
        with pytest.raises(ValueError, match=f"1 of 36864 values of tensor '{name}' .* the first is {place}"):
            ptq.load_model("vit_digits", checkpoint=path)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "mixer_s32_224"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_channels_of_images_are_those_of_the_first_convolution(name: str, channels: int) -> None:
    network = timm_model(name, in_chans=channels)
    assert input_size(network) == (channels, 224, 224)
    assert input_size(ptq.QuantizedModel(network).model) == (channels, 224, 224)


def test_a_model_of_one_channel_sees_the_luminance_of_a_folder(folder: Path) -> None:
    gray = timm_model("test_vit", in_chans=1, num_classes=2)
    color = timm_model("test_vit", num_classes=2)
    one, three = (ptq.load_data(folder, network).read([0, 4])[0] for network in (gray, color))
    assert (one.shape, three.shape) == ((2, 1, 160, 160), (2, 3, 160, 160))
    mean, std = (torch.tensor(color.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    luminance = torch.tensor([0.299, 0.587, 0.114]) @ (three * std + mean).flatten(2)  # ITU-R BT.601
    # the crops are resized in 8 bits before or after they lose their color, and clipped where bicubic weights overshoot
    off = one.flatten(2)[:, 0] * std.mean() + mean.mean() - luminance
    assert float(off.abs().mean()) < 1 / 255
    with pytest.raises(ValueError, match="32x32 pixels in 3 channels, and the model takes 32x32 in 1"):
        ptq.load_data("digits", timm_model("test_vit", in_chans=1, img_size=32))
    with pytest.raises(ValueError, match="image files have 1 or 3 channels, and the model takes 4"):
        ptq.load_data(folder, timm_model("test_vit", in_chans=4))


def test_evaluation_counts_what_it_says() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    one = ptq.Evaluation(logits, torch.tensor([0, 1, 1, 1]))
    assert one.top1 == 75.0
    expected = -np.log([np.e / (np.e + 1), np.e**2 / (np.e**2 + 1), 1 / (np.e**3 + 1), np.e / (np.e + 1)]).mean()
    assert one.cross_entropy == pytest.approx(expected)
    changed = logits.clone()
    changed[2] = torch.tensor([-1.0, 0.5])
    gap = ptq.difference(one, ptq.Evaluation(changed, one.labels))
    assert (gap.logits, gap.of, gap.predictions, gap.largest) == (2, 8, 1, 4.0)
    with pytest.raises(ValueError, match="same images"):
        ptq.difference(one, ptq.Evaluation(logits[:2], one.labels[:2]))


def test_data_with_more_classes_than_the_model_is_refused() -> None:
    model = timm_model("test_vit", num_classes=3, img_size=32)
    with pytest.raises(ValueError, match="has 100 classes, but the model knows 3"):
        ptq.evaluate(model, ptq.load_data("digits", model), limit=1)
