"""Images from where users have them: folders, CIFAR in its binary version, the bundled scenes."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.datasets.compositing import scans_of
from ptqsim.ptq.datasets.load import DigitScenes
from tests.ptq.names import BUNDLED
from tests.ptq.networks import timm_model


def preprocessing(network: nn.Module) -> Callable[[Image.Image], torch.Tensor]:
    """timm's own."""
    from timm.data import create_transform, resolve_data_config

    transform: Callable[[Image.Image], torch.Tensor] = create_transform(
        **resolve_data_config({}, model=network), is_training=False
    )
    return transform


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Takes 160x160 pixels, by a transform with a crop of 0.95 and bicubic interpolation."""
    return timm_model("test_vit", num_classes=100)


def test_fingerprints_follow_the_images(folder: Path) -> None:
    model = ptq.BUNDLED["vit_digits"].build()
    one = ptq.load_data(folder, model, split="train")
    assert one.fingerprint == ptq.load_data(folder / "train", model).fingerprint
    digits = {ptq.load_data("digits", model, split=s).fingerprint for s in ("train", "calibration", "validation")}
    assert len(digits) == 3


def test_samples_follow_the_seed_and_never_repeat() -> None:
    data = ptq.load_data("digits", ptq.BUNDLED["vit_digits"].build(), split="calibration")
    assert torch.equal(ptq.sample_images(data, 5, 3), ptq.sample_images(data, 5, 3))
    assert not torch.equal(ptq.sample_images(data, 5, 3), ptq.sample_images(data, 5, 4))
    every = ptq.sample_images(data, 1000, 0)
    assert len({image.numpy().tobytes() for image in every}) == 1000
    with pytest.raises(ValueError, match="has 1000"):
        ptq.sample_images(data, 1001)
    with pytest.raises(ValueError, match="images is 0; legal is an integer of at least 1"):
        ptq.sample_images(data, 0)
    with pytest.raises(TypeError, match=r"images is 2\.0; legal is an integer"):
        ptq.sample_images(data, 2.0)  # type: ignore[arg-type]


def test_wrong_data_is_named(folder: Path, tmp_path: Path) -> None:
    model = ptq.BUNDLED["vit_digits"].build()
    with pytest.raises(FileNotFoundError, match="no data folder"):
        ptq.load_data(tmp_path / "nowhere", model)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no images in class folders"):
        ptq.load_data(tmp_path / "empty", model)
    with pytest.raises(ValueError, match="validation"):
        ptq.load_data("digits", model, split="valdation")
    (tmp_path / "bad" / "a").mkdir(parents=True)
    (tmp_path / "bad" / "a" / "x.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"x\.png is no readable image"):
        ptq.load_data(tmp_path / "bad", model).read([0])


def test_scenes_read_again_are_those_of_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptqsim.ptq.datasets.load._KEPT", 6)
    data = DigitScenes("validation")
    expected = [data.read([i]) for i in range(8)]
    for _ in range(2):
        for start in (0, 4, 0):  # the second four are more than is kept
            images, labels = data.read(range(start, start + 4))
            assert torch.equal(images, torch.cat([image for image, _ in expected[start : start + 4]]))
            assert labels.tolist() == [int(label) for _, label in expected[start : start + 4]]
            images.zero_(), labels.zero_()  # what was handed out is not what is kept


def test_scenes_for_a_model_of_another_image_size_are_refused() -> None:
    model = timm_model("test_vit", num_classes=100)
    with pytest.raises(
        ValueError, match=r"32x32 pixels in 3 channels, and the model takes 160x160 in 3: name a folder"
    ):
        ptq.load_data("digits", model)


def test_images_are_preprocessed_as_timm_does(folder: Path, network: nn.Module) -> None:
    images, labels = ptq.load_data(folder, network).read([1, 4])
    transform = preprocessing(network)
    files = [folder / "val" / "cat" / "1.png", folder / "val" / "dog" / "1.png"]
    expected = torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
    assert images.shape == (2, 3, 160, 160)
    assert torch.equal(images, expected)
    assert labels.tolist() == [0, 1]


@pytest.mark.parametrize("name", BUNDLED)
def test_images_of_any_size_are_brought_to_the_range_of_a_scene(name: str, folder: Path, tmp_path: Path) -> None:
    model = ptq.BUNDLED[name].build()
    assert ptq.load_data(folder, model).read([0])[0].shape == (1, 3, 32, 32)
    data = ptq.load_data("digits", model)
    scene, _ = data.read([5])
    pixels = ((scene[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    (tmp_path / "scenes" / "0").mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "scenes" / "0" / "5.png")
    torch.testing.assert_close(ptq.load_data(tmp_path / "scenes", model).read([0])[0], scene, rtol=0, atol=1e-6)


def test_some_classes_of_imagenet_keep_their_numbers(tmp_path: Path) -> None:
    for wnid in ("n01440764", "n01443537", "n15075141"):  # the first two and the last of ImageNet-1k
        (tmp_path / "val" / wnid).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "val" / wnid / "image.JPEG")
    all_classes = timm_model("test_vit")
    assert ptq.load_data(tmp_path, all_classes).read(range(3))[1].tolist() == [0, 1, 999]
    assert ptq.load_data(tmp_path, all_classes).classes is None  # type: ignore[attr-defined]
    three = timm_model("test_vit", num_classes=3)
    assert ptq.load_data(tmp_path, three).classes == 3  # type: ignore[attr-defined]
    assert ptq.load_data(tmp_path, three).read(range(3))[1].tolist() == [0, 1, 2]


def write_records(path: Path, labels: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> None:
    """labels [N, label bytes] and pixels [N, 3, 32, 32] as CIFAR's binary version has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(bytes(x) + y.tobytes() for x, y in zip(labels, pixels, strict=True)))


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    """Five batches of two images and two test images, in the folder that the archive unpacks to."""
    rng = np.random.default_rng(1)
    root = tmp_path / "cifar-10-batches-bin"
    for i, name in enumerate(["test_batch", *(f"data_batch_{k}" for k in range(1, 6))]):
        pixels = rng.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
        write_records(root / f"{name}.bin", np.array([[i], [9 - i]], np.uint8), pixels)
    return root


def test_cifar10_in_its_binary_version(cifar10: Path, network: nn.Module) -> None:
    test = ptq.load_data(cifar10, network)
    assert (test.name, len(test)) == ("cifar10/test", 2)
    train = ptq.load_data(cifar10.parent, network, split="calibration")  # the folder around it does as well
    assert (train.name, len(train)) == ("cifar10/train", 10)
    images, labels = train.read([9, 0, 3])
    assert labels.tolist() == [4, 1, 7]
    assert images.shape == (3, 3, 160, 160)
    plain = ptq.load_data(cifar10, ptq.BUNDLED["vit_digits"].build(), split="train").read([3])[0]  # 32x32, -1 to 1
    record = np.frombuffer((cifar10 / "data_batch_2.bin").read_bytes(), np.uint8).reshape(2, 3073)[1]
    expected = torch.from_numpy(record[1:].reshape(3, 32, 32) / 127.5 - 1).float()
    torch.testing.assert_close(plain[0], expected, rtol=0, atol=1e-6)
    transform = preprocessing(network)
    assert torch.equal(images[2], transform(Image.fromarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0).copy())))


def test_cifar100_has_its_fine_labels(tmp_path: Path, network: nn.Module) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    write_records(tmp_path / "test.bin", np.array([[19, 3], [0, 99], [5, 42]], np.uint8), pixels)
    data = ptq.load_data(tmp_path, network)
    assert data.name == "cifar100/test"
    assert data.read(range(3))[1].tolist() == [3, 99, 42]
    before = data.fingerprint
    pixels[1, 0, 0, 0] ^= 1
    write_records(tmp_path / "test.bin", np.array([[19, 3], [0, 99], [5, 42]], np.uint8), pixels)
    assert ptq.load_data(tmp_path, network).fingerprint != before
    with pytest.raises(ValueError, match=r"has no train\.bin"):
        ptq.load_data(tmp_path, network, split="train")


def test_damaged_cifar_files_are_refused(cifar10: Path, network: nn.Module) -> None:
    whole = (cifar10 / "test_batch.bin").read_bytes()
    (cifar10 / "test_batch.bin").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"6,145 bytes, which is no whole number of records of 3,073"):
        ptq.load_data(cifar10, network)
    (cifar10 / "test_batch.bin").write_bytes(b"\x0a" + whole[1:])
    with pytest.raises(ValueError, match="has a label 10, but cifar10 has classes 0 to 9"):
        ptq.load_data(cifar10, network)
    (cifar10 / "data_batch_4.bin").unlink()
    with pytest.raises(ValueError, match=r"has no data_batch_4\.bin"):
        ptq.load_data(cifar10, network, split="train")


class Trap:
    """Its pickle, once read, writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.path, "unpickled")


@pytest.mark.parametrize(
    ("names", "archive", "unpacked"),
    [
        (["data_batch_1", "test_batch", "batches.meta"], "cifar-10-binary.tar.gz", "cifar-10-batches-py"),
        (["train", "test", "meta"], "cifar-100-binary.tar.gz", "cifar-100-python"),
    ],
)
def test_pickled_cifar_is_refused_and_never_unpickled(
    names: list[str], archive: str, unpacked: str, tmp_path: Path, network: nn.Module
) -> None:
    (tmp_path / unpacked).mkdir()
    for name in names:
        (tmp_path / unpacked / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    for folder in (tmp_path, tmp_path / unpacked):
        with pytest.raises(ValueError, match=f"pickled version .* get the binary version, .*{archive}"):
            ptq.load_data(folder, network)
    assert not (tmp_path / "sprung").exists()


def test_cifar_as_image_files(tmp_path: Path, network: nn.Module) -> None:
    for part in ("train", "test"):
        for label in ("airplane", "automobile"):
            (tmp_path / part / label).mkdir(parents=True)
            Image.new("RGB", (32, 32)).save(tmp_path / part / label / "0001.png")
    data = ptq.load_data(tmp_path, network)
    assert (data.name, len(data)) == ("test", 2)
    assert ptq.load_data(tmp_path, network, split="calibration").name == "train"


def test_images_exchanged_are_noticed(folder: Path, tmp_path: Path, network: nn.Module) -> None:
    """Two files of the same name, label and size, whose contents are exchanged, and whose times are put back."""
    for label, color in (("a", 10), ("b", 200)):
        (tmp_path / "val" / label).mkdir(parents=True)
        Image.new("RGB", (8, 8), (color, color, color)).save(tmp_path / "val" / label / "x.bmp")
    paths = [tmp_path / "val" / label / "x.bmp" for label in ("a", "b")]
    data = ptq.load_data(tmp_path, network)
    before, first, both = data.fingerprint, data.fingerprint_of([0]), data.fingerprint_of([0, 1])
    assert before == both != data.fingerprint_of([1, 0])
    contents = [path.read_bytes() for path in paths]
    assert len(contents[0]) == len(contents[1])
    for path, content in zip(paths, reversed(contents), strict=True):
        times = path.stat()
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert data.fingerprint != before
    assert data.fingerprint_of([0]) != first


def test_of_some_images_nothing_else_is_read(folder: Path, tmp_path: Path, network: nn.Module) -> None:
    shutil.copytree(folder / "val", tmp_path / "val")
    data = ptq.load_data(tmp_path, network)
    chosen = ptq.sample_indices(data, 2, seed=3)
    before = data.fingerprint_of(chosen)
    (other,) = {0} - set(chosen) or {1} - set(chosen) or {2}
    (tmp_path / "val" / "cat" / f"{other}.png").write_bytes(b"changed")
    assert data.fingerprint_of(chosen) == before


def test_samples_are_of_all_images_of_a_large_folder() -> None:
    """ImageNet has 1,281,167 training images, class by class."""

    class Large:
        name = "large"

        def __len__(self) -> int:
            return 1_281_167

    assert max(ptq.sample_indices(Large(), 1000)) > 2**20  # type: ignore[arg-type]


def test_scans_of_the_scenes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    data = DigitScenes("validation")
    before = data.fingerprint
    scans, digits = scans_of("validation")
    changed = scans.copy()
    changed[-1, 3, 3] += 1  # a scan that the first scenes may not show
    monkeypatch.setattr("ptqsim.ptq.datasets.load.scans_of", lambda split: (changed, digits))
    assert data.fingerprint != before
