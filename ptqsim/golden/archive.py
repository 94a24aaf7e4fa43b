"""The npz file: the same arrays give the same bytes."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.golden.vectors import GoldenVectors

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first date that a zip file can hold


def arrays(vectors: GoldenVectors) -> dict[str, NDArray[Any]]:
    """Every array by its name."""
    found: dict[str, NDArray[Any]] = {"a": vectors.a.codes, "b": vectors.b.codes}
    if vectors.acc is not None:
        found["acc"] = vectors.acc
    return found | {"trace": vectors.trace}


def render(vectors: GoldenVectors) -> bytes:
    """The file."""
    return render_arrays(arrays(vectors))


def render_arrays(named: Mapping[str, NDArray[Any]]) -> bytes:
    """An npz file of arrays. numpy.savez would write the time of day, and compression depends on zlib's version."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in named.items():
            content = io.BytesIO()
            little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            np.lib.format.write_array(content, little_endian, version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content.getvalue())
    return buffer.getvalue()


def read(data: bytes) -> dict[str, NDArray[Any]]:
    """Every array of a file.

    Raises
    ------
    ValueError
        If it is no npz file, is damaged, or holds pickled objects.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, TypeError, OSError, EOFError, KeyError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise ValueError(f"cannot be read as npz: {error}") from None
