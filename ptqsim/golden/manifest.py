"""The manifest: the datapath and everything that is needed to read the other files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from ptqsim.common import installed, strict_json
from ptqsim.golden.layout import TRACE_BITS, TRACE_MEANINGS, conventions, words
from ptqsim.golden.vectors import TRACE_COLUMNS, GoldenVectors

SCHEMA: Final = "ptqsim golden vectors, 1"
_SEAL: Final = "sha256_of_this_manifest_without_this_line"


def versions() -> dict[str, str]:
    """Versions of what writes the files."""
    return installed.versions(["ptqsim", "numpy", "python"])


def document(
    vectors: GoldenVectors,
    name: str,
    source: Mapping[str, Any],
    written_by: Mapping[str, str],
    digests: Mapping[str, str],
) -> dict[str, Any]:
    """The manifest as plain data."""
    trapped, overflow = vectors.trapped, vectors.overflow
    quantities: dict[str, Any] = {
        quantity.name: {
            "file": quantity.file,
            "shape": list(quantity.shape),
            "word_bits": quantity.bits,
            "c_type": quantity.c_type,
        }
        for quantity in words(vectors)
    }
    quantities["a"]["format"] = vectors.a.format.to_dict()
    quantities["b"]["format"] = vectors.b.format.to_dict()
    content = {
        "schema": SCHEMA,
        "name": name,
        "versions": dict(written_by),
        "source": dict(source),
        "accumulator": vectors.accumulator.to_dict(),
        **quantities,
        "overflow": None if overflow is None else {"outputs": overflow[0], "events": overflow[1]},
        "trap": None if trapped is None else trapped._asdict() | {"element": list(trapped.element)},
        "trace": {
            "file": "trace.hex",
            "element": list(vectors.traced),
            "steps": len(vectors.trace),
            "word_bits": sum(TRACE_BITS),
            "columns": [
                {"name": column, "bits": bits, "meaning": meaning}
                for column, bits, meaning in zip(TRACE_COLUMNS, TRACE_BITS, TRACE_MEANINGS, strict=True)
            ],
        },
        "conventions": conventions(vectors),
        "files": dict(digests),
    }
    return sealed(content)


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """A manifest with the digest of itself."""
    return content | {_SEAL: digest(_text(content).encode())}


def render(content: Mapping[str, Any]) -> str:
    """The manifest as it is written."""
    return _text(content)


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _text(content: Mapping[str, Any]) -> str:
    return strict_json.dumps(content, indent=2) + "\n"
