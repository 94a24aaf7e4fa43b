"""Wheels of a few kilobytes, and images in files."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from ptqsim.ptq.fetching.wheels import Wheel

WIDTH, DEPTH = 16, 2


def make_wheel(folder: Path, name: str, members: Mapping[str, bytes]) -> Wheel:
    """Write a wheel that pip accepts, and pin it."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    texts = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in {**members, **{key: text.encode() for key, text in texts.items()}}.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    content = path.read_bytes()
    return Wheel(name, "1.0", "py3-none-any", len(content), hashlib.sha256(content).hexdigest(), "MIT")


def png(seed: int) -> bytes:
    """A small image in a file."""
    file = io.BytesIO()
    colors = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    Image.fromarray(colors).resize((40, 30)).save(file, "png")
    return file.getvalue()
