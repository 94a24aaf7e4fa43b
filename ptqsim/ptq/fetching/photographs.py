"""The photographs out of their wheels: pixels, and the texts that say whose they are."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ptqsim.common import fingerprint
from ptqsim.ptq.fetching.sources import Photograph


def read_out(photographs: Sequence[Photograph], wheels: Path, expected: str) -> dict[str, NDArray[np.uint8]]:
    """Pixels [3, H, W] of each photograph by name, in the order of the names.

    Parameters
    ----------
    photographs : sequence of Photograph
    wheels : Path
        Folder of the wheels.
    expected : str
        Fingerprint of all of them.

    Raises
    ------
    ValueError
        Where one can't be read, or is decoded to other pixels than the pinned ones.
    """
    found = {}
    for photograph in photographs:
        try:
            with Image.open(io.BytesIO(photograph.wheel.read(wheels, photograph.member))) as image:
                found[photograph.name] = np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(f"{photograph.member} in {photograph.wheel.file} is no readable image ({error})") from None
    pixels = fingerprint.arrays(found.items())
    if pixels != expected:
        raise ValueError(
            f"the photographs have the fingerprint {pixels}, and the pinned one is {expected}: this Pillow decodes "
            "JPEG in another way; try the wheel of Pillow from PyPI, which has libjpeg-turbo"
        )
    return dict(sorted(found.items()))


def origins(photographs: Sequence[Photograph]) -> str:
    """Text to be put beside the photographs: from where each is, and under which license."""
    lines = [
        "Photographs in photographs.safetensors, decoded and otherwise unchanged; one a line:",
        "name, author and ",
    ]
    lines[1] += "license as far as the package tells them, file, package and its license."
    for photograph in sorted(photographs, key=lambda photograph: photograph.name):
        wheel = photograph.wheel
        lines.append(
            f"{photograph.name}: {photograph.license}; {photograph.member} of {wheel.name} {wheel.version} "
            f"({wheel.license})"
        )
    return "\n".join(lines) + "\n"
