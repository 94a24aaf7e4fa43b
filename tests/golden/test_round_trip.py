"""Golden vectors of every kind of datapath: written, read back, and recomputed by a C program."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import golden
from ptqsim.golden import vectors as vectors_module
from tests.golden.cases import ALIGNMENTS, DATAPATHS, FORMATS, ORDERS, OVERFLOWS, make

ORACLE = Path(__file__).with_name("recompute.c")


def recompute_in_c(directory: Path) -> None:
    """The header compiled into a program that recomputes it, warnings and undefined behavior being errors."""
    compiler = shutil.which("cc")
    assert compiler is not None
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wno-type-limits", "-Werror", "-fsanitize=undefined"]
    program = directory / "recompute"
    subprocess.run([compiler, *flags, f"-I{directory}", str(ORACLE), "-o", str(program)], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def words(path: Path, bits: int, signed: bool) -> list[int]:
    """A hex file as a test bench sees it, without ptqsim."""
    lines = path.read_text(encoding="ascii").splitlines()
    assert lines[0].startswith("//")
    values = [int(line.replace("_", ""), 16) for line in lines[1:]]
    assert max(values) < 1 << bits
    return [v - (1 << bits) if signed and v >> (bits - 1) else v for v in values]


@pytest.mark.parametrize(("formats", "overflow", "order", "alignment"), DATAPATHS)
def test_round_trip(formats: str, overflow: str, order: str, alignment: str, tmp_path: Path) -> None:
    vectors = make(formats, overflow, order, alignment)
    written = golden.write(vectors, tmp_path / "one")
    report = golden.check(tmp_path / "one")
    assert [str(finding) for finding in report.findings] == []
    assert report.vectors is not None
    assert report.vectors.trapped == vectors.trapped
    golden.write(vectors, tmp_path / "two")
    for path in written:
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()

    manifest = json.loads(written[-1].read_text(encoding="utf-8"))
    assert {path.name for path in written} == {*manifest["files"], "manifest.json"}
    with np.load(tmp_path / "one" / "vectors.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    for name in ("a", "b", "acc"):
        if name == "acc" and overflow == "trap":
            assert vectors.trapped is not None
            assert "acc" not in arrays
            assert not (tmp_path / "one" / "acc.hex").exists()
            continue
        found = words(tmp_path / "one" / f"{name}.hex", manifest[name]["word_bits"], name == "acc")
        assert found == arrays[name].ravel().tolist()
    if vectors.acc is not None:
        assert vectors.overflow is not None
        assert vectors.overflow[0] > 0
        assert vectors.acc.tolist() == pq.reference.matmul(vectors.a, vectors.b, vectors.accumulator)


OTHERS = [formats for formats in FORMATS if formats != "twin_pair"]


# Every mode with every other, and every format with every mode of overflow and alignment.
@pytest.mark.parametrize(
    ("formats", "overflow", "order", "alignment"),
    [("twin_pair", *modes) for modes in product(OVERFLOWS, ORDERS, ALIGNMENTS)]
    + [
        (formats, overflow, "split" if overflow == "saturate" else "sequential", alignment)
        for formats, overflow, alignment in product(OTHERS, OVERFLOWS, ("product", "deferred"))
    ],
)
def test_recomputed_in_c(formats: str, overflow: str, order: str, alignment: str, tmp_path: Path) -> None:
    golden.write(make(formats, overflow, order, alignment), tmp_path)
    recompute_in_c(tmp_path)


@pytest.mark.parametrize("formats", ["asymmetric", "unsigned", "twin_asymmetric"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_zero_points_by_correction(overflow: str, order: str, formats: str, tmp_path: Path) -> None:
    """The steps before the first product and after the last are in the trace, and the C program finds them as well."""
    for alignment in ("product", "deferred"):
        vectors = make(formats, overflow, order, alignment, zero_point="correction")
        golden.write(vectors, tmp_path)
        assert golden.check(tmp_path).ok
        recompute_in_c(tmp_path)
        indices = vectors.trace[:, 0].tolist()
        assert (min(indices) == -1) == (vectors.a.format.zero_point != 0)
        assert (max(indices) == 11) == (vectors.b.format.zero_point != 0)


def test_vectors_without_zero_points_say_nothing_of_them(tmp_path: Path) -> None:
    """They are what was written before there were any."""
    golden.write(make("uniform", "wrap", "tree", "product"), tmp_path)
    for name in ("manifest.json", "vectors.h"):
        text = (tmp_path / name).read_text(encoding="utf-8").lower()
        assert "zero_point" not in text
        assert 'signed"' not in text
        assert "_signed" not in text


@pytest.mark.parametrize(("inner", "outer"), [("saturate", "wrap"), ("wrap", "saturate")])
@pytest.mark.parametrize("formats", ["unsigned", "gelu"])
def test_tiles_with_a_mode_of_their_own(formats: str, inner: str, outer: str, tmp_path: Path) -> None:
    a, b = golden.stimulus(*FORMATS[formats], 7, 11, 5, seed=1)
    accumulator = pq.Accumulator(12, outer, pq.Split(3, 10, inner), zero_point="correction")
    vectors = golden.compute(a, b, accumulator)
    assert vectors.acc is not None
    assert vectors.acc.tolist() != pq.reference.matmul(a, b, pq.Accumulator(12, outer, pq.Split(3, 10)))
    golden.write(vectors, tmp_path)
    recompute_in_c(tmp_path)
    assert golden.check(tmp_path).ok


@pytest.mark.parametrize("bits", [2, 8, 9, 16, 17, 32, 33, 63])
def test_every_width_of_words(bits: int, tmp_path: Path) -> None:
    """Words up to 63 bits, and codes above 8; the C type is the narrowest that holds an output."""
    a, b = golden.stimulus(pq.TwinGELU(16, 16, 1.0), pq.Uniform(16, 1.0), 4, 12, 3, seed=5)
    golden.write(golden.compute(a, b, pq.Accumulator(bits)), tmp_path)
    recompute_in_c(tmp_path)
    assert golden.check(tmp_path).ok
    width = next(width for width in (8, 16, 32, 64) if bits <= width)
    assert f"static const int{width}_t golden_acc[12]" in (tmp_path / "vectors.h").read_text(encoding="ascii")
    assert len((tmp_path / "acc.hex").read_text(encoding="ascii").splitlines()[1]) == (bits + 3) // 4


def test_trap_that_does_not_happen_gives_accumulators(tmp_path: Path) -> None:
    vectors = make("gelu", "trap", "split", "deferred", bits=40)
    assert vectors.trapped is not None  # the tile register is narrow
    vectors = make("gelu", "trap", "tree", "deferred", bits=40)
    assert vectors.trapped is None
    assert vectors.acc is not None
    golden.write(make("gelu", "wrap", "tree", "product"), tmp_path)
    golden.write(vectors, tmp_path)
    recompute_in_c(tmp_path)
    assert golden.check(tmp_path).ok
    golden.write(make("gelu", "trap", "tree", "product"), tmp_path)
    assert not (tmp_path / "acc.hex").exists()  # what was there before is gone
    assert golden.check(tmp_path).ok


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("order", ORDERS)
def test_trap_in_a_later_output(order: str, alignment: str, tmp_path: Path) -> None:
    a, b = golden.stimulus(*FORMATS["twin_pair"], 4, 11, 5, "random", seed=2)
    codes = a.codes.copy()
    codes[:2] = 0  # ten outputs that are zero
    accumulator = pq.Accumulator(9, "trap", ORDERS[order], alignment)
    vectors = golden.compute(pq.QuantizedArray(codes, a.format), b, accumulator)
    assert vectors.trapped is not None
    assert vectors.trapped.element >= (2, 0)
    golden.write(vectors, tmp_path)
    recompute_in_c(tmp_path)
    assert golden.check(tmp_path).ok


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_batches_are_broadcast(alignment: str, tmp_path: Path, rng: np.random.Generator) -> None:
    a = pq.QuantizedArray(rng.integers(0, 256, (2, 1, 3, 6)), pq.TwinSoftmax(8, 4))
    b = pq.QuantizedArray(rng.integers(0, 256, (2, 6, 4)), pq.Uniform(8, 1.0))
    accumulator = pq.Accumulator(14, "saturate", pq.Split(4, 12), alignment)
    vectors = golden.compute(a, b, accumulator, traced=(1, 0, 2, 3))
    golden.write(vectors, tmp_path, name="Batched")
    assert vectors.output_shape == (2, 2, 3, 4)
    assert vectors.acc is not None
    assert np.array_equal(vectors.acc, pq.matmul(a, b, accumulator).acc)
    header = (tmp_path / "vectors.h").read_text(encoding="ascii")
    assert "#define BATCHED_TRACE_ELEMENT 35 " in header  # ((1 * 2 + 0) * 3 + 2) * 4 + 3
    (tmp_path / "vectors.h").write_text(header.replace("BATCHED_", "GOLDEN_").replace("batched_", "golden_"))
    recompute_in_c(tmp_path)
    golden.write(vectors, tmp_path, name="Batched")
    assert golden.check(tmp_path).ok


def test_the_traced_output_overflows_by_default() -> None:
    a_format, b_format = FORMATS["uniform"]
    a = pq.QuantizedArray(np.array([[0, 0], [127, 127]]), a_format)
    b = pq.QuantizedArray(np.array([[1, 31], [1, 31]]), b_format)
    vectors = golden.compute(a, b, pq.Accumulator(13))  # 2 * 127 fits, 2 * 127 * 31 = 7874 does not fit 4095
    assert vectors.traced == (1, 1)
    assert vectors.trace[:, 4].tolist() == [0, 1]
    assert vectors.trace[:, 7].tolist() == [3937, 7874 - 8192]
    assert golden.compute(a, b, pq.Accumulator(14)).traced == (0, 0)


@pytest.mark.parametrize("overflow", ["wrap", "trap"])
def test_kernels_that_disagree_with_the_reference_are_found(overflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(a: Any, b: Any, accumulator: pq.Accumulator) -> pq.MatmulResult:
        return pq.matmul(a, b, pq.Accumulator(accumulator.bits - 1))

    monkeypatch.setattr(vectors_module, "matmul", wrong)
    with pytest.raises(RuntimeError, match="reference gives"):
        make("uniform", overflow, "sequential", "product")


@pytest.mark.parametrize(
    ("traced", "message"), [((0,), r"index into \(7, 5\)"), ((7, 0), "got"), ((0, -1), "got"), ((0, 0, 0), "got")]
)
def test_only_outputs_are_traced(traced: tuple[int, ...], message: str) -> None:
    a, b = golden.stimulus(*FORMATS["uniform"], 7, 3, 5)
    with pytest.raises(ValueError, match=message):
        golden.compute(a, b, pq.Accumulator(32), traced)


@pytest.mark.parametrize("shapes", [((0, 3), (3, 2)), ((2, 0), (0, 2)), ((2, 3), (3, 0))])
def test_empty_products_are_refused(shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    a, b = (pq.QuantizedArray(np.zeros(shape, np.uint8), pq.Uniform(8, 1.0)) for shape in shapes)
    with pytest.raises(ValueError, match="1 or more"):
        golden.compute(a, b, pq.Accumulator(32))


def test_formats_without_a_grid_are_refused() -> None:
    a = pq.QuantizedArray(np.zeros((1, 1), np.uint8), pq.Log2(8))
    with pytest.raises(ValueError, match="Log2"):
        golden.compute(a, a, pq.Accumulator(32))


@pytest.mark.parametrize("name", ["", "7up", "a-b", "a b", "é"])
def test_names_that_c_cannot_take(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="try 'golden'"):
        golden.write(make("uniform", "wrap", "tree", "product"), tmp_path / "new", name=name)
    assert not (tmp_path / "new").exists()
