"""Image files: which files of a folder are images, and what their pixels are in 8-bit RGB.

A folder is read by the rules of torchvision's ``ImageFolder``, except that hidden files and folders, and what desktops
leave behind, are passed over: a folder ``.ipynb_checkpoints`` would otherwise become class 0 and shift every label.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

_LEFT_BEHIND: Final = frozenset(
    {"__MACOSX", "__pycache__", "lost+found", "$RECYCLE.BIN", "@eaDir", "System Volume Information"}
)
_CONVERTED: Final = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"})
_BITS_PER_SAMPLE: Final = 258
_WHITE_IS_ZERO: Final = 262, 0
"""Tags of TIFF; of the second the value, too."""


def extensions() -> tuple[str, ...]:
    """The endings of image files, in lower case; upper case counts as well."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    return tuple(IMG_EXTENSIONS)


def class_folders(root: Path) -> list[str]:
    """Names of the folders of classes in a folder, in their order."""
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and _is_visible(entry.name))


def image_names(folder: Path) -> list[str]:
    """Names of all images below a folder relative to it, folder by folder.

    Links to folders are followed, but not one that leads back to a folder which it lies in.
    """
    legal = extensions()
    found: list[str] = []
    for place, names in sorted(_walk(folder)):
        here = Path(place).relative_to(folder)
        found += [(here / name).as_posix() for name in names if name.lower().endswith(legal)]
    return found


def read_image(path: Path) -> Image.Image:
    """The image in a file, as 8-bit RGB; of an animation, or of several pages, the first picture.

    Raises
    ------
    ValueError
        Where it can't be read, has no pixels, or can't be converted; it names the file.
    """
    try:
        with Image.open(path) as image:
            if 0 in image.size:
                raise ValueError(f"it is empty, {image.size[0]}x{image.size[1]} pixels")
            image.load()
            return to_rgb(image)
    except Exception as error:  # Pillow's decoders raise what they meet: OSError, SyntaxError, struct.error, ...
        raise ValueError(f"{path} is no readable image ({error}): repair or remove it") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """An image as 8-bit RGB.

    Gray and palettes become RGB, and an alpha channel is dropped, as Pillow does it.  Of 16 bits per pixel the upper 8
    are kept, as Pillow does for color, libpng and OpenCV for everything (Pillow itself cuts gray values off at 255).

    Raises
    ------
    ValueError
        For pixels of 32 bits, or in floating point, which don't say what black and white are, and for color spaces
        that Pillow doesn't convert.
    """
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    if image.mode in _CONVERTED:
        return image.convert("RGB")
    tags = getattr(image, "tag_v2", {})
    # Pillow opens 16-bit gray as "I;16", or as "I" if it is a PNM file, or a PNG file in releases before 10.3
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        bits = int(tags.get(_BITS_PER_SAMPLE, (16,))[0])
        levels = np.asarray(image).astype(np.uint32) >> (bits - 8)
        if tags.get(_WHITE_IS_ZERO[0]) == _WHITE_IS_ZERO[1]:
            levels = 255 - levels
        return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    raise ValueError(
        f"its pixels are of Pillow's mode {image.mode!r}, whose black and white aren't known; legal are up to 16 bits "
        "per channel: save it as 8-bit PNG"
    )


def _walk(folder: Path, around: tuple[tuple[int, int], ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """Path and visible files of a folder and of all below it; ``around`` are the folders that lead to it."""
    about = folder.stat()
    here = about.st_dev, about.st_ino
    if here in around:
        return
    inner: list[str] = []
    names: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_visible(entry.name):
                (inner if entry.is_dir() else names).append(entry.name)
    yield str(folder), sorted(names)
    for name in inner:
        yield from _walk(folder / name, (*around, here))


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name not in _LEFT_BEHIND
