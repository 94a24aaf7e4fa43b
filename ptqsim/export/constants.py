"""Constants of a C program: arrays of integers in the narrowest type that holds them, equal ones once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

_PER_LINE = 24


class Constants:
    """Declarations of a header, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._known: dict[tuple[str, bytes], str] = {}
        self._structs: dict[str, str] = {}

    def array(self, values: ArrayLike, kind: str = "integer") -> str:
        """Name of an array of 64-bit integers (`integer`), or of another C type."""
        flat = np.asarray(values, np.int64).ravel()
        key = (kind, flat.tobytes())
        if key not in self._known:
            name = f"a{len(self._known)}"
            self._known[key] = name
            texts = [_literal(int(value), kind) for value in flat]
            rows = [", ".join(texts[i : i + _PER_LINE]) for i in range(0, len(texts), _PER_LINE)]
            body = ",\n    ".join(rows)
            self.lines.append(f"static const {kind} {name}[{len(flat)}] = {{\n    {body}\n}};")
        return self._known[key]

    def struct(self, kind: str, prefix: str, fields: str) -> str:
        """Name of a constant struct."""
        key = f"{kind} {fields}"
        if key not in self._structs:
            name = f"{prefix}{len(self._structs)}"
            self._structs[key] = name
            self.lines.append(f"static const {kind} {name} = {{{fields}}};")
        return self._structs[key]

    def per_channel(self, values: Sequence[int]) -> str:
        """One integer, or one for each channel, as the initializer of a struct."""
        return f"{{{self.array(values)}, {len(values)}}}"


def _literal(value: int, kind: str) -> str:
    return f"{value}LL" if kind == "integer" and abs(value) >= 1 << 31 else str(value)
