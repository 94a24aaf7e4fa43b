"""The C header: macros for the datapath, one array for each quantity."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ptqsim.datapath.order import ORDERS, Split
from ptqsim.datapath.spec import Accumulator, Alignment, OverflowMode, ZeroPoint
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.floats.minifloat import Minifloat, SpecialValues
from ptqsim.formats.log2 import Log2
from ptqsim.formats.twin import TwinGELU, TwinSoftmax
from ptqsim.formats.uniform import Uniform
from ptqsim.golden.layout import words
from ptqsim.golden.text import Located, UnreadableError
from ptqsim.golden.vectors import REGISTERS, TRACE_COLUMNS, GoldenVectors

_PER_LINE: Final = 16

# Numbered for the preprocessor, which cannot compare names: new ones go to the end.
_FORMATS: Final = tuple(kind.kind for kind in (Uniform, TwinSoftmax, TwinGELU, Log2, Minifloat))
_OLDEST: Final = 4  # named in every header, later ones only where they are meant, so that old headers stay as they are


@dataclass
class Array:
    """One C array: its declaration up to the equals sign, and its values."""

    line: int
    declaration: str
    values: list[Located] = field(default_factory=list)


@dataclass
class Header:
    """Content of a header: value and line of every macro, and every array by name."""

    macros: dict[str, tuple[int, str]] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)


def macros(vectors: GoldenVectors, name: str) -> dict[str, tuple[str, str]]:
    """Value of every macro, and what it means where the name does not say it."""
    accumulator, trapped = vectors.accumulator, vectors.trapped
    order = accumulator.order
    found = {
        "BATCHES": (str(math.prod(vectors.a.shape[:-2])), "matrices in each array"),
        "M": (str(vectors.a.shape[-2]), "rows of a and acc"),
        "K": (str(vectors.a.shape[-1]), "columns of a, rows of b"),
        "N": (str(vectors.b.shape[-1]), "columns of b and acc"),
        **_of_format("A", vectors.a.format),
        **_of_format("B", vectors.b.format),
        "ACCUMULATOR_BITS": (str(accumulator.bits), "P"),
        "OUTPUT_BITS": (str(vectors.output_bits), "P, or more with deferred alignment"),
        "OVERFLOW": _numbered(accumulator.overflow, [mode.value for mode in OverflowMode]),
        "ORDER": _numbered(order.kind, ORDERS),
        "ORDER_GROUP": (str(order.group), "products per addition into the accumulator: lanes, or tile"),
        "INNER_BITS": (str(order.inner_bits if isinstance(order, Split) else 0), "tile register of a split order"),
        "ALIGNMENT": _numbered(accumulator.alignment, [mode.value for mode in Alignment]),
        **_of_tiles(accumulator),
        **_of_zero_points(accumulator),
        "TRAPPED": (str(int(trapped is not None)), "1: an event is expected and there is no acc"),
        "TRACE_ELEMENT": (str(_flat(vectors.traced, vectors.output_shape)), "flat index into acc"),
        "TRACE_STEPS": (str(len(vectors.trace)), "additions on the way to that output"),
        "TRACE_COLUMNS": (str(len(TRACE_COLUMNS)), ", ".join(TRACE_COLUMNS)),
    }
    if trapped is not None:
        found |= {
            "TRAP_ELEMENT": (str(_flat(trapped.element, vectors.output_shape)), "flat index of the output"),
            "TRAP_STEP": (str(trapped.step), "depth index"),
            "TRAP_REGISTER": _numbered(trapped.register, REGISTERS),
            "TRAP_BITS": (str(trapped.bits), "width of that register"),
        }
    return {f"{name.upper()}_{key}": value for key, value in found.items()}


def arrays(vectors: GoldenVectors, name: str) -> dict[str, tuple[str, list[list[int]]]]:
    """Declaration and rows of values of every array."""
    prefix = name.lower()
    found = {}
    for quantity in words(vectors):
        width, values = quantity.shape[-1], quantity.values
        rows = [values[start : start + width] for start in range(0, len(values), width)]
        found[f"{prefix}_{quantity.name}"] = (
            f"static const {quantity.c_type} {prefix}_{quantity.name}[{len(values)}]",
            rows,
        )
    trace: list[list[int]] = vectors.trace.tolist()
    found[f"{prefix}_trace"] = (f"static const int64_t {prefix}_trace[{len(trace) * len(TRACE_COLUMNS)}]", trace)
    return found


def render(vectors: GoldenVectors, name: str) -> str:
    """The header."""
    guard = f"{name.upper()}_VECTORS_H"
    lines = [
        "/* Golden vectors of ptqsim; manifest.json has the datapath and every convention in words. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stdint.h>",
        "",
    ]
    lines += [f"#define {key} {value} /* {meaning} */" for key, (value, meaning) in macros(vectors, name).items()]
    for declaration, rows in arrays(vectors, name).values():
        lines += ["", f"{declaration} = {{"]
        for row in rows:
            lines += [f"    {', '.join(map(str, row[i : i + _PER_LINE]))}," for i in range(0, len(row), _PER_LINE)]
        lines.append("};")
    return "\n".join([*lines, "", f"#endif /* {guard} */", ""])


def read(text: str) -> Header:
    """Macros and arrays of a header.

    Raises
    ------
    UnreadableError
        At a line that is none of a header written here.
    """
    header = Header()
    current: Array | None = None
    for line, content in enumerate(text.split("\n"), 1):
        code = re.sub(r"/\*.*?\*/", "", content).strip()
        if current is not None:
            if code == "};":
                current = None
                continue
            for value in filter(None, (part.strip() for part in code.split(","))):
                if not re.fullmatch(r"-?[0-9]+", value):
                    raise UnreadableError(line, f"{value!r} is no decimal integer")
                current.values.append(Located(line, int(value)))
        elif macro := re.fullmatch(r"#define\s+(\w+)(?:\s+(\S+))?", code):
            _once(line, macro[1], header.macros)
            header.macros[macro[1]] = line, macro[2] or ""
        elif array := re.fullmatch(r"(static const \w+ (\w+)\[\d+\]) = \{", code):
            _once(line, array[2], header.arrays)
            current = header.arrays[array[2]] = Array(line, array[1])
        elif code and not re.fullmatch(r"#ifndef \w+|#endif|#include <stdint\.h>", code):
            raise UnreadableError(line, f"{code!r} does not belong into this header")
    if current is not None:
        raise UnreadableError(text.count("\n") + 1, f"{current.declaration} is not closed")
    return header


def _once(line: int, name: str, known: Container[str]) -> None:
    if name in known:
        raise UnreadableError(line, f"{name} is there twice")


def _of_tiles(accumulator: Accumulator) -> dict[str, tuple[str, str]]:
    """The macro of tiles with an overflow mode of their own; without one there is none, as in older headers."""
    if accumulator.inner_overflow == accumulator.overflow:
        return {}
    return {"INNER_OVERFLOW": _numbered(accumulator.inner_overflow, [mode.value for mode in OverflowMode])}


def _of_zero_points(accumulator: Accumulator) -> dict[str, tuple[str, str]]:
    """The macro of a correction; without one there is none, as in headers from before there were zero points."""
    if accumulator.zero_point == ZeroPoint.OPERAND:
        return {}
    return {"ZERO_POINT": _numbered(accumulator.zero_point, [place.value for place in ZeroPoint])}


def _of_format(side: str, number_format: NumberFormat) -> dict[str, tuple[str, str]]:
    named = max(_OLDEST, _FORMATS.index(number_format.kind) + 1)
    found = {
        f"{side}_FORMAT": _numbered(number_format.kind, _FORMATS[:named]),
        f"{side}_BITS": (str(number_format.storage_bits), "of a code"),
        f"{side}_SHIFT": (str(number_format.shift), "alignment exponent m"),
        **_of_scale(side, number_format),
    }
    if isinstance(number_format, Uniform) and not (number_format.signed and number_format.zero_point == 0):
        found[f"{side}_SIGNED"] = str(int(number_format.signed)), "1: a code is two's complement, 0: plain binary"
        found[f"{side}_ZERO_POINT"] = str(number_format.zero_point), "integer whose code stands for 0"
    if isinstance(number_format, Minifloat):
        found |= {
            f"{side}_EXPONENT_BITS": (str(number_format.exponent_bits), "below the sign bit"),
            f"{side}_MANTISSA_BITS": (str(number_format.mantissa_bits), "the lowest bits"),
            f"{side}_SPECIAL": _numbered(number_format.special, [each.value for each in SpecialValues]),
        }
    if isinstance(number_format, Log2) and number_format.root > 1:
        found[f"{side}_ROOT"] = str(number_format.root), "q: the base is 2**(1/q)"
        found |= {f"{side}_FRACTION_{r}": (str(f), "F") for r, f in enumerate(number_format.fractions)}
    return found


def _of_scale(side: str, number_format: NumberFormat) -> dict[str, tuple[str, str]]:
    """The scale; of several their number, as C knows no arrays of macros."""
    if number_format.axis is None:
        return {f"{side}_SCALE": (number_format.step.hex(), f"{number_format.step!r}, real value of one step")}
    channels = "columns" if number_format.axis == -1 else "rows"
    return {f"{side}_SCALES": (str(number_format.steps.size), f"a scale for each of the {channels}, in manifest.json")}


def _numbered(name: str, legal: Iterable[str]) -> tuple[str, str]:
    """The number of a name, and all names with theirs."""
    names = list(legal)
    return str(names.index(str(name))), ", ".join(f"{i} {each}" for i, each in enumerate(names))


def _flat(element: Sequence[int], shape: Sequence[int]) -> int:
    flat = 0
    for index, size in zip(element, shape, strict=True):
        flat = flat * size + index
    return flat
