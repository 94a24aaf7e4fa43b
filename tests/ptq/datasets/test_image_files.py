"""Image files of every kind: which count, and which pixels they give."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.files.images import class_folders, image_names, read_image, to_rgb

GRAY16 = (np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040) + 7  # 7 to 65,527
UPPER = (GRAY16 >> 8).astype(np.uint8)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return ptq.BUNDLED["vit_digits"].build()


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.pgm"])
def test_of_16_bits_the_upper_8_are_kept(name: str, tmp_path: Path) -> None:
    image = read_image(saved(tmp_path / name, Image.fromarray(GRAY16)))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.repeat(UPPER[..., None], 3, axis=2))


def test_16_bits_of_either_byte_order_and_either_white(tmp_path: Path) -> None:
    big = Image.frombytes("I;16B", (8, 8), GRAY16.astype(">u2").tobytes())
    assert np.array_equal(np.asarray(to_rgb(big))[..., 0], UPPER)
    white_is_zero = saved(tmp_path / "w.tif", Image.fromarray(GRAY16), tiffinfo={262: 0})
    with Image.open(white_is_zero) as image:
        assert (image.mode, image.tag_v2[262]) == ("I;16", 0)
    assert np.array_equal(np.asarray(read_image(white_is_zero))[..., 0], 255 - UPPER)


def test_color_of_16_bits_as_gray_of_16_bits(tmp_path: Path) -> None:
    """The rule for gray is the one that Pillow has for color."""
    header = b"P6 8 8 65535\n"
    (tmp_path / "x.ppm").write_bytes(header + np.repeat(GRAY16[..., None], 3, axis=2).astype(">u2").tobytes())
    color = np.asarray(read_image(tmp_path / "x.ppm"))[..., 0].astype(int)
    assert np.abs(color - UPPER).max() <= 1  # of PNM files Pillow takes value / 257, rounded


@pytest.mark.parametrize(("mode", "dtype"), [("I", np.int32), ("F", np.float32)])
def test_pixels_without_a_known_white_are_refused(mode: str, dtype: type, tmp_path: Path) -> None:
    path = saved(tmp_path / "depth.tif", Image.fromarray(np.full((8, 8), 0.5).astype(dtype)))
    with pytest.raises(
        ValueError, match=rf"depth\.tif is no readable image \(its pixels are of Pillow's mode '{mode}'"
    ):
        read_image(path)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Image.new("1", (2, 2), 1), (255, 255, 255)),
        (lambda: Image.new("L", (2, 2), 77), (77, 77, 77)),
        (lambda: Image.new("LA", (2, 2), (77, 0)), (77, 77, 77)),
        (lambda: Image.new("RGB", (2, 2), (1, 2, 3)), (1, 2, 3)),
        (lambda: Image.new("RGBA", (2, 2), (1, 2, 3, 0)), (1, 2, 3)),
        (lambda: Image.new("RGB", (2, 2), (1, 2, 3)).quantize(2), (1, 2, 3)),
    ],
)
def test_modes_of_png(make: Callable[[], Image.Image], expected: tuple[int, ...], tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", make())
    assert read_image(path).getpixel((1, 1)) == expected


def test_a_palette_with_transparency_keeps_its_colors(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 2), (9, 8, 7)).quantize(2)
    path = saved(tmp_path / "x.png", image, transparency=bytes([128, 255]))
    assert read_image(path).getpixel((0, 0)) == (9, 8, 7)


def test_cmyk(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.tif", Image.new("CMYK", (2, 2), (255, 0, 0, 0)))
    assert read_image(path).getpixel((0, 0)) == (0, 255, 255)


def test_of_an_animation_the_first_picture(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ((10, 20, 30), (200, 200, 200))]
    path = saved(tmp_path / "x.png", frames[0], save_all=True, append_images=frames[1:])
    with Image.open(path) as image:
        assert image.n_frames == 2
    assert read_image(path).getpixel((0, 0)) == (10, 20, 30)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_truncated_at_every_place_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, kind)
    whole = content.getvalue()
    path = tmp_path / "cut.png"
    for kept in (0, 1, 10, 40, len(whole) // 3, len(whole) // 2, len(whole) * 9 // 10):
        path.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match=r"cut\.png is no readable image"):
            read_image(path)


def test_hidden_folders_and_files_are_no_classes_and_no_images(
    folder: Path, tmp_path: Path, network: nn.Module
) -> None:
    whole = ptq.load_data(folder, network)
    root = tmp_path / "val"
    for name in ("cat", "dog"):
        for image in sorted((folder / "val" / name).iterdir()):
            (root / name).mkdir(parents=True, exist_ok=True)
            (root / name / image.name).write_bytes(image.read_bytes())
    noise = (root / "cat" / "0.png").read_bytes()
    for place in (".ipynb_checkpoints", "__MACOSX/cat", "cat/.ipynb_checkpoints", "@eaDir", ".cache"):
        (root / place).mkdir(parents=True)
        (root / place / "0-checkpoint.png").write_bytes(noise)
    for name in ("cat/._0.png", "dog/.hidden.jpg", "dog/Thumbs.db", "cat/.DS_Store", ".DS_Store"):
        (root / name).write_bytes(noise)
    data = ptq.load_data(root, network)
    assert len(data) == len(whole) == 6
    assert data.read(range(6))[1].tolist() == [0, 0, 0, 1, 1, 1]
    assert data.fingerprint == whole.fingerprint


def test_the_order_is_torchvisions(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    for name in ("b/2.png", "b/10.png", "b/b-c/1.PNG", "b/b/1.jpg", "a/Z.png", "a/é.webp", "a/x.gif", "B/0.png"):
        saved(tmp_path / name, Image.new("RGB", (2, 2)), format="PNG")
    expected = [Path(path).relative_to(tmp_path).as_posix() for path, _ in ImageFolder(str(tmp_path)).samples]
    found = [f"{name}/{image}" for name in class_folders(tmp_path) for image in image_names(tmp_path / name)]
    assert found == expected


def test_a_link_into_itself_ends(tmp_path: Path) -> None:
    saved(tmp_path / "a" / "1.png", Image.new("RGB", (2, 2)))
    (tmp_path / "elsewhere").mkdir()
    saved(tmp_path / "elsewhere" / "2.png", Image.new("RGB", (2, 2)))
    (tmp_path / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "a")
    assert image_names(tmp_path / "a") == ["1.png", "more/2.png"]


def test_a_link_to_nowhere_is_named(tmp_path: Path, network: nn.Module) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ValueError, match=r"1\.png is no readable image .*No such file"):
        ptq.load_data(tmp_path, network).read([0])


def test_a_class_without_images_is_refused(tmp_path: Path, network: nn.Module) -> None:
    """As by torchvision: it may be that its images were not unpacked."""
    saved(tmp_path / "b" / "1.png", Image.new("RGB", (2, 2)))
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match=re.escape("class folders without images (a)")):
        ptq.load_data(tmp_path, network)
