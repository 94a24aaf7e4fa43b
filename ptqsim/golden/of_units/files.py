"""Files of a unit's golden vectors: hex files, a C header, an npz, and the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ptqsim.common import strict_json
from ptqsim.golden import archive, hexfile, manifest
from ptqsim.golden.layout import ARCHIVE, HEADER, MANIFEST
from ptqsim.golden.of_units.vectors import UnitVectors

SCHEMA: Final = "ptqsim golden vectors of a unit, 1"
_PER_LINE: Final = 16

CONVENTIONS: Final = {
    "arithmetic": "docs/units/ of ptqsim defines every named value; the constants are the fields of unit",
    "inputs": "signed integers, two's complement of word_bits bits; what codes of a format stand for, in units of its "
    "step, or accumulators",
    "values": "every named value in the order of computation: one for each row where the shape is [rows], one for each "
    "element else. word_bits is the proven width; two's complement where signed says so, else plain binary",
    "code": "the stored bit pattern of unit.out_format, an unsigned integer of word_bits bits",
    "order": "arrays are flat in C order, [rows, length], the last index fastest; a row is what a softmax or a "
    "LayerNorm runs over",
    "hex": "for $readmemh: one word per line, most significant digit first, ceil(word_bits / 4) digits; bits of the "
    "first digit above word_bits are zero; no addresses; // starts a comment",
    "header": "C99, stdint.h; values in decimal; one include guard and one name prefix",
    "npz": "uncompressed, little-endian, C order, no pickle; everything as int64",
}


def render(vectors: UnitVectors, name: str, source: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, bytes]:
    """Every file by name, the manifest last; the same vectors give the same bytes."""
    words = vectors.words()
    made = {quantity.file: hexfile.render(quantity).encode() for quantity in words}
    made[HEADER] = _header(vectors, name).encode()
    made[ARCHIVE] = _archive(vectors)
    content = {
        "schema": SCHEMA,
        "name": name,
        "versions": dict(versions),
        "source": dict(source),
        "unit": vectors.unit.to_dict(),
        "rows": len(vectors.inputs[0]),
        "length": vectors.inputs[0].shape[1],
        "inputs": [_described(quantity) for quantity in words[: len(vectors.inputs)]],
        "values": [_described(quantity) for quantity in words[len(vectors.inputs) :]],
        "conventions": CONVENTIONS,
        "files": {file: manifest.digest(data) for file, data in made.items()},
    }
    made[MANIFEST] = (strict_json.dumps(content, indent=2) + "\n").encode()
    return made


def _described(quantity: Any) -> dict[str, Any]:
    return {
        "name": quantity.name,
        "file": quantity.file,
        "shape": list(quantity.shape),
        "word_bits": quantity.bits,
        "signed": quantity.signed,
        "c_type": quantity.c_type,
    }


def _header(vectors: UnitVectors, name: str) -> str:
    upper, lower = name.upper(), name.lower()
    rows, length = vectors.inputs[0].shape
    lines = [
        f"/* Golden vectors of a unit, {vectors.unit.kind}; manifest.json has its constants and every convention. */",
        f"#ifndef {upper}_VECTORS_H", f"#define {upper}_VECTORS_H", "", "#include <stdint.h>", "",
        f"#define {upper}_ROWS {rows}", f"#define {upper}_LENGTH {length}",
    ]  # fmt: skip
    words = vectors.words()
    lines += [f"#define {upper}_{quantity.name.upper()}_BITS {quantity.bits}" for quantity in words]
    for quantity in words:
        lines += ["", f"static const {quantity.c_type} {lower}_{quantity.name}[{len(quantity.values)}] = {{"]
        for start in range(0, len(quantity.values), _PER_LINE):
            lines.append(f"    {', '.join(map(str, quantity.values[start : start + _PER_LINE]))},")
        lines.append("};")
    return "\n".join([*lines, "", f"#endif /* {upper}_VECTORS_H */", ""])


def _archive(vectors: UnitVectors) -> bytes:
    inputs = {one.name: array for one, array in zip(vectors.unit.inputs, vectors.inputs, strict=True)}
    return archive.render_arrays(inputs | vectors.values)
