"""Golden vectors of products of blocks: hex files of codes, scales and registers, and a manifest.

Files are for $readmemh. Every value of the register comes from the reference in fractions, and final ones are compared
with those of the kernels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.progress import Progress, silent
from ptqsim.common.validation import checked_integer, checked_seed
from ptqsim.datapath.blocks import block_reference
from ptqsim.datapath.blocks.registers import BlockRegister, FixedPoint, register_from_dict, register_to_dict
from ptqsim.datapath.spec import OverflowMode
from ptqsim.formats.arrays.codes import dtype_for
from ptqsim.formats.blocks.array import BlockArray
from ptqsim.formats.blocks.block import SCALE_BITS, Block, BlockScale
from ptqsim.formats.registry import block_from_dict
from ptqsim.gemm import matmul
from ptqsim.golden import manifest
from ptqsim.golden.folder import write_files
from ptqsim.golden.hexfile import read
from ptqsim.golden.layout import MANIFEST, HexColumn, digits
from ptqsim.golden.stimuli import Pattern, stimulus
from ptqsim.golden.text import UnreadableError

SCHEMA: Final = "ptqsim golden vectors of blocks, 1"
Wrong = tuple[str, int | None, str]
"""File, line, and words."""
CONVENTIONS: Final = {
    "arithmetic": "docs/blocks.md: a pair of blocks is the exact sum of its products times both scales; registers.hex "
    "has the register after every step, which is one pair of blocks, or as many as the register takes at once",
    "codes": "stored bit patterns: elements in a.hex and b.hex, scales in a_scale.hex and b_scale.hex",
    "order": "C order, last index fastest: a [M, blocks, block], a_scale [M, blocks], b [N, blocks, block], b_scale "
    "[N, blocks], registers [M, N, steps]; the last block is padded with the code of zero",
    "registers": "two's complement of word_bits bits in fixed point, in units of 2**weight; of floats the word of the "
    "float32. Both in units of the tensor scales",
    "hex": "for $readmemh: one word per line, ceil(word_bits / 4) digits; // starts a comment",
}
_MIDDLE, _SPREAD = 127, 4


@dataclass(frozen=True, slots=True, eq=False)
class BlockVectors:
    """A product of blocks, and the register after every step of every output.

    Attributes
    ----------
    a, b : BlockArray
        [M, K] and [K, N].
    register : FixedPoint, Float32 or AlignedFloat32
    registers : int64 or float32 array [M, N, steps]
    """

    a: BlockArray
    b: BlockArray
    register: BlockRegister
    registers: NDArray[Any]


def compute_blocks(a: BlockArray, b: BlockArray, register: BlockRegister, progress: Progress = silent) -> BlockVectors:
    """The register after every step, by the reference.

    Parameters
    ----------
    a, b : BlockArray
        [M, K] and [K, N] with blocks along the depth.
    register : FixedPoint, Float32 or AlignedFloat32
        One that does not trap.
    progress : callable, optional
        Called with the outputs computed and all outputs.

    Raises
    ------
    RuntimeError
        If a kernel disagrees with the reference.
    ValueError
        If the register traps, or the operands do not fit each other.
    """
    if isinstance(register, FixedPoint) and register.overflow == OverflowMode.TRAP:
        raise ValueError(f"vectors of blocks have registers after every step, got {register}; legal are wrap, saturate")
    lines = block_reference.values(a, b)
    rows = []
    for done, row in enumerate(lines, 1):
        rows.append([block_reference.steps(each, register) for each in row])
        progress(done * len(row), len(lines) * len(row))
    held = np.array(rows, np.int64 if isinstance(register, FixedPoint) else np.float32)
    fast = matmul(a, b, register, statistics=False).acc
    if not np.array_equal(held[..., -1], fast, equal_nan=not isinstance(register, FixedPoint)):
        raise RuntimeError("a kernel and the reference disagree on this product of blocks: please report it")
    return BlockVectors(a, b, register, held)


def block_stimulus(
    a_format: Block, b_format: Block, rows: int, depth: int, columns: int, pattern: Pattern | str = Pattern.MIXED,
    seed: int = 0,
) -> tuple[BlockArray, BlockArray]:  # fmt: skip
    """Codes of a [rows, depth] and b [depth, columns]: those of `stimulus` for elements, and scales near 1.

    Scales of E8M0 are 2**-4 to 2**4 at random, and in every eighth line any; those of E4M3 are any number.

    Raises
    ------
    ValueError
        If an argument is out of its range, or the sizes of blocks differ.
    """
    if a_format.block != b_format.block:
        raise ValueError(f"blocks of {a_format.block} and of {b_format.block} values do not fit; give the same size")
    size, depth = a_format.block, checked_integer("depth", depth, 1, 1 << 20)
    blocks = -(-depth // size)
    a, b = stimulus(a_format.element, b_format.element, rows, depth, columns, pattern, seed)
    random = np.random.RandomState(checked_seed(seed) ^ 1)
    made = []
    for fmt, codes, axis in ((a_format, a.codes, -1), (b_format, b.codes.T, -2)):
        padding = np.full((len(codes), blocks * size - depth), int(fmt.element.encode(0.0)))
        padded = np.concatenate([codes, padding], axis=1).reshape(len(codes), blocks, size)
        made.append(BlockArray(padded.astype(codes.dtype), _scales(fmt, len(codes), blocks, random), fmt, depth, axis))
    return made[0], made[1]


def _scales(fmt: Block, lines: int, blocks: int, random: np.random.RandomState) -> NDArray[np.uint8]:
    if fmt.scale == BlockScale.E4M3:
        return random.randint(0, 127, (lines, blocks), dtype=np.int64).astype(np.uint8)
    near = random.randint(_MIDDLE - _SPREAD, _MIDDLE + _SPREAD + 1, (lines, blocks), dtype=np.int64)
    near[7::8] = random.randint(0, 255, near[7::8].shape, dtype=np.int64)
    return near.astype(np.uint8)


def write_blocks(vectors: BlockVectors, directory: str | Path, source: Mapping[str, Any] | None = None) -> list[Path]:
    """Write hex files and manifest; the same vectors give the same bytes.

    Parameters
    ----------
    vectors : BlockVectors
        The result of `compute_blocks`.
    directory : str or Path
        Made if it is not there.
    source : mapping of str to object, optional
        Where the codes come from, plain data.

    Returns
    -------
    list of Path
        The files that were written, the manifest last.
    """
    folder = Path(directory)
    contents = _contents(vectors, source or {"kind": "given"}, manifest.versions())
    return write_files(folder, contents)


def read_blocks(
    folder: Path, claimed: Mapping[str, Any], progress: Progress = silent
) -> tuple[BlockVectors, dict[str, str]]:
    """Vectors recomputed from the codes in hex files and the manifest, and the text of every file as it should be.

    Raises
    ------
    ValueError
        If a file is missing or unreadable, or the manifest describes no such vectors.
    """
    if claimed["schema"] != SCHEMA:
        raise ValueError(f"schema {claimed['schema']!r}, and this ptqsim reads {SCHEMA!r}")
    arrays = []
    for side, axis in (("a", -1), ("b", -2)):
        about = claimed[side]
        fmt = block_from_dict(about["format"])
        lines, blocks = (int(size) for size in about["scale_shape"])
        element_bits = fmt.element.storage_bits
        codes = _words(folder / f"{side}.hex", element_bits, lines * blocks * fmt.block)
        scales = _words(folder / f"{side}_scale.hex", SCALE_BITS, lines * blocks)
        shaped = codes.reshape(lines, blocks, fmt.block), scales.reshape(lines, blocks)
        arrays.append(BlockArray(*shaped, fmt, int(claimed["depth"]), axis))
    source, versions = dict(claimed["source"]), dict(claimed["versions"])
    if source.get("kind") == "stimulus":
        made = block_stimulus(
            arrays[0].format, arrays[1].format, len(arrays[0].codes), arrays[0].depth, len(arrays[1].codes),
            source["pattern"], source["seed"],
        )  # fmt: skip
        for side, found, again in zip("ab", arrays, made, strict=True):
            if not (np.array_equal(found.codes, again.codes) and np.array_equal(found.scales, again.scales)):
                raise ValueError(f"the codes or scales of {side} are not those of pattern and seed {source['seed']}")
    vectors = compute_blocks(arrays[0], arrays[1], register_from_dict(claimed["register"]), progress)
    return vectors, _contents(vectors, source, versions)


def check_block_files(folder: Path, text: str, progress: Progress = silent) -> tuple[list[Wrong], BlockVectors | None]:
    """Everything that is wrong with vectors in a folder, as file, line and words; and what was recomputed.

    Parameters
    ----------
    folder : Path
    text : str
        The manifest.
    progress : callable, optional
        Called with the outputs computed and all outputs.
    """
    try:
        vectors, expected = read_blocks(folder, json.loads(text), progress)
    except UnreadableError as error:
        return [(str(error.args[0]).partition(":")[0], error.line, str(error))], None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OSError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        return [(MANIFEST, None, f"the files are no golden vectors of blocks: {what}")], None
    findings: list[Wrong] = []
    for file, wanted in expected.items():
        path = folder / file
        if not path.is_file():
            findings.append((file, None, "is missing"))
            continue
        lines, expected_lines = path.read_bytes().decode("utf-8", "replace").split("\n"), wanted.split("\n")
        differ = [i for i, (x, y) in enumerate(zip(lines, expected_lines, strict=False)) if x != y]
        if differ:
            more = f" (and {len(differ) - 1} more lines differ)" if len(differ) > 1 else ""
            first = differ[0]
            findings.append((file, first + 1, f"{lines[first]!r}, expected {expected_lines[first]!r}{more}"))
        elif len(lines) != len(expected_lines):
            findings.append((file, len(lines), f"has {len(lines)} lines, expected {len(expected_lines)}"))
    return findings, vectors


def columns(vectors: BlockVectors) -> list[HexColumn]:
    """The quantities in hex files."""
    found = []
    for side, array in (("a", vectors.a), ("b", vectors.b)):
        for name, codes, bits in (
            (side, array.codes, array.format.element.storage_bits), (f"{side}_scale", array.scales, SCALE_BITS),
        ):  # fmt: skip
            values = codes.ravel().tolist()
            found.append(HexColumn(name, f"{name}.hex", bits, "", codes.shape, False, values))
    held, fixed = vectors.registers, isinstance(vectors.register, FixedPoint)
    # One NaN for all, as processors give it one sign or the other.
    floats = np.where(np.isnan(held), np.float32(np.nan), held).astype("<f4")
    words = held if fixed else floats.view("<u4")
    bits = vectors.register.bits if isinstance(vectors.register, FixedPoint) else 32
    found.append(HexColumn("registers", "registers.hex", bits, "", held.shape, fixed, words.ravel().tolist()))
    return found


def _contents(vectors: BlockVectors, source: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, str]:
    quantities = columns(vectors)
    texts = {}
    for one in quantities:
        kind = "two's complement" if one.signed else "bit patterns"
        head = f"// {one.name} {list(one.shape)} in C order, {one.bits}-bit words, {kind}"
        texts[one.file] = "\n".join([head, *(digits(value, one.bits) for value in one.values), ""])
    document = {
        "schema": SCHEMA,
        "versions": dict(versions),
        "source": dict(source),
        "register": register_to_dict(vectors.register),
        "depth": vectors.a.depth,
        "a": {"format": vectors.a.format.to_dict(), "scale_shape": list(vectors.a.scales.shape)},
        "b": {"format": vectors.b.format.to_dict(), "scale_shape": list(vectors.b.scales.shape)},
        "words": {one.name: {"file": one.file, "shape": list(one.shape), "word_bits": one.bits} for one in quantities},
        "conventions": CONVENTIONS,
        "files": {file: manifest.digest(text.encode()) for file, text in texts.items()},
    }
    return texts | {MANIFEST: manifest.render(manifest.sealed(document))}


def _words(path: Path, bits: int, count: int) -> NDArray[Any]:
    if not path.is_file():
        raise ValueError(f"{path.name} is missing")
    try:
        found: Sequence[Any] = read(path.read_bytes().decode("utf-8", "replace"), bits)
    except UnreadableError as error:
        raise UnreadableError(error.line, f"{path.name}: {error}") from None
    if len(found) != count:
        raise ValueError(f"{path.name} has {len(found)} words, expected {count}")
    return np.array([word.value for word in found], dtype_for(bits))
