"""The oracle in C, compiled by the C compiler of the machine and called through ctypes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq

SOURCE = Path(__file__).with_name("datapath.c")
COMPILER = shutil.which("gcc") or shutil.which("cc")
KINDS = {"uniform": 0, "twin_softmax": 1, "twin_gelu": 2}
MODES = {"wrap": 0, "saturate": 1, "trap": 2}


def _structure(name: str, kind: type, *fields: str) -> type[ctypes.Structure]:
    return type(name, (ctypes.Structure,), {"_fields_": [(field, kind) for field in fields]})


_Format = _structure("_Format", ctypes.c_int32, "kind", "bits", "shift", "is_unsigned", "zero_point")
_Datapath = _structure(
    "_Datapath", ctypes.c_int32, "bits", "overflow", "group", "inner_bits", "inner_overflow", "deferred", "corrected"
)  # fmt: skip
_Statistics = _structure(
    "_Statistics", ctypes.c_int64,
    "steps", "events", "outputs", "first_output", "first_step", "lowest", "highest", "inner_lowest", "inner_highest",
)  # fmt: skip


class Outcome(NamedTuple):
    """The oracle's result of one product; `first` is the first event, as `OverflowStatistics.first`."""

    acc: NDArray[np.int64]
    steps: int
    events: int
    outputs: int
    first: tuple[tuple[int, int], int] | None
    prefixes: tuple[int, int, int, int]


@cache
def _library() -> ctypes.CDLL:
    assert COMPILER is not None
    with TemporaryDirectory() as folder:
        built = Path(folder) / "datapath.so"
        flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run([COMPILER, *flags, "-o", str(built), str(SOURCE)], check=True)
        library = ctypes.CDLL(str(built))
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    library.matmul.argtypes = [
        pointer, pointer, size, size, size, _Format, _Format, _Datapath, pointer, pointer, pointer,
    ]  # fmt: skip
    library.matmul.restype = None
    return library


def matmul(a: pq.QuantizedArray, b: pq.QuantizedArray, accumulator: pq.Accumulator) -> Outcome:
    """Two matrices of codes on a datapath; under ``trap`` the registers go on, as in `ptqsim.reference.trace`."""
    (rows, depth), columns = a.shape, b.shape[1]
    order = accumulator.order
    inner_bits = order.inner_bits if isinstance(order, pq.Split) else 0
    deferred = accumulator.alignment == "deferred"
    corrected = accumulator.zero_point == "correction"
    mode, inner_mode = MODES[str(accumulator.overflow)], MODES[str(accumulator.inner_overflow)]
    datapath = _Datapath(accumulator.bits, mode, order.group, inner_bits, inner_mode, deferred, corrected)
    codes = [np.ascontiguousarray(array.codes, np.uint16) for array in (a, b)]
    scratch, out = np.empty(((rows + 1) * depth, 2), np.int64), np.empty((rows, columns), np.int64)
    found = _Statistics(first_output=-1)
    formats = [
        _Format(KINDS[one.kind], one.bits, one.shift, not getattr(one, "signed", True), one.zero_point)
        for one in (a.format, b.format)
    ]
    pointers = [array.ctypes.data for array in (*codes, scratch, out)]
    _library().matmul(*pointers[:2], rows, depth, columns, *formats, datapath, *pointers[2:], ctypes.byref(found))
    first = None if found.first_output < 0 else (divmod(found.first_output, columns), found.first_step)
    prefixes = (found.lowest, found.highest, found.inner_lowest, found.inner_highest)
    return Outcome(out, found.steps, found.events, found.outputs, first, prefixes)
