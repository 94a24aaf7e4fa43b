"""Changes of golden vectors are found, with their place."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptqsim import golden
from tests.golden.cases import line_of, make, replace, reseal


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a is TwinGELU(5, 3) [7, 11], b is Uniform(12) [11, 5]; 35 outputs."""
    directory = tmp_path_factory.mktemp("original")
    vectors = make("gelu", "saturate", "sequential", "product", bits=16)
    source = {"kind": "stimulus", "pattern": "mixed", "seed": 1}
    golden.write(vectors, directory, source)
    assert golden.check(directory).ok
    return directory


@pytest.fixture
def directory(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "copy"))


def found(directory: Path) -> list[str]:
    return [str(finding) for finding in golden.check(directory).findings]


FILES = ["a.hex", "b.hex", "acc.hex", "trace.hex", "vectors.h", "vectors.npz", "manifest.json"]


@pytest.mark.parametrize("file", FILES)
def test_any_changed_byte_is_found(file: str, directory: Path, rng: np.random.Generator) -> None:
    path = directory / file
    right = path.read_bytes()
    for position in [0, len(right) - 1, *rng.integers(0, len(right), 20).tolist()]:
        wrong = bytearray(right)
        wrong[position] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(wrong)
        assert not golden.check(directory).ok, f"byte {position}"
    path.write_bytes(right)
    assert golden.check(directory).ok


@pytest.mark.parametrize("file", FILES[:-1])
@pytest.mark.parametrize("resealed", [False, True])
def test_missing_and_truncated_files_are_found(file: str, resealed: bool, directory: Path) -> None:
    data = (directory / file).read_bytes()
    (directory / file).write_bytes(data[: len(data) // 2])
    if resealed:
        reseal(directory)
    assert any(line.startswith(file) for line in found(directory))
    (directory / file).unlink()
    assert any(line.startswith(f"{file}: ") and "missing" in line for line in found(directory))


# From here on every digest is made right again, so that only what the files say can give the change away.


@pytest.mark.parametrize(("file", "name", "digits"), [("a.hex", "a", 2), ("b.hex", "b", 3), ("acc.hex", "acc", 4)])
def test_hex_value(file: str, name: str, digits: int, directory: Path) -> None:
    line = 1 + 6  # a comment, then the sixth value: b and acc have 5 columns, a has 11
    path = directory / file
    old = path.read_text(encoding="ascii").split("\n")[line - 1]
    assert len(old) == digits
    new = f"{int(old, 16) ^ 1:0{digits}x}"
    replace(path, line, old, new)
    reseal(directory)
    index = "[0, 5]" if name == "a" else "[1, 0]"
    assert found(directory) == [f"{file}:{line}: {name}{index} is {int(new, 16):x}, expected {int(old, 16):x}"]


@pytest.mark.parametrize(
    ("new", "words"),
    [("xx", "no hexadecimal word"), ("@10", "no hexadecimal word"), ("3f", "does not fit 5 bits"), ("", "76 values")],
)
def test_hex_that_is_no_word(new: str, words: str, directory: Path) -> None:
    path = directory / "a.hex"
    replace(path, 4, path.read_text(encoding="ascii").split("\n")[3], new)
    reseal(directory)
    assert any(line.startswith("a.hex:") and words in line for line in found(directory))


def test_hex_trace(directory: Path) -> None:
    vectors = golden.check(directory).vectors
    assert vectors is not None
    path = directory / "trace.hex"
    old = path.read_text(encoding="ascii").split("\n")[3]
    replace(path, 4, old, "_".join([*old.split("_")[:-1], "f" * 16]))
    reseal(directory)
    assert found(directory) == [f"trace.hex:4: trace[2].exact is -1, expected {vectors.trace[2, 8]}"]


def test_header_values_macros_and_declarations(directory: Path) -> None:
    path = directory / "vectors.h"
    line = line_of(path, "golden_acc[35]") + 1
    first = path.read_text(encoding="ascii").split("\n")[line - 1].split(",")[0].strip()
    replace(path, line, first, "77")
    macro = line_of(path, "GOLDEN_ACCUMULATOR_BITS 16")
    replace(path, macro, "BITS 16", "BITS 17")
    declaration = line_of(path, "golden_a[77]")
    replace(path, declaration, "uint8_t", "int8_t")
    reseal(directory)
    assert found(directory) == [
        f"vectors.h:{macro}: GOLDEN_ACCUMULATOR_BITS is 17, expected 16",
        f"vectors.h:{declaration}: 'static const int8_t golden_a[77]', expected 'static const uint8_t golden_a[77]'",
        f"vectors.h:{line}: golden_acc[0, 0] is 77, expected {first}",
    ]


@pytest.mark.parametrize(
    ("text", "old", "new", "words"),
    [
        ("GOLDEN_K 11", "#define GOLDEN_K 11", "#define GOLDEN_KK 11", "GOLDEN_KK is no macro"),
        ("GOLDEN_K 11", "#define GOLDEN_K 11", "", "GOLDEN_K is missing"),
        ("GOLDEN_K 11", "#define", "#undef GOLDEN_K //", "does not belong"),
        ("golden_b[55]", "golden_b", "golden_c", "golden_c is no array"),
        ("golden_b[55]", "golden_b", "golden_c", "golden_b is missing"),
        ("#endif", "#endif", "int x;", "does not belong"),
        ("GOLDEN_M 7", "GOLDEN_M", "GOLDEN_K", "GOLDEN_K is there twice"),
        ("golden_a[77]", "golden_a", "golden_b", "golden_b is there twice"),
        ("golden_trace[99]", " = {", " = { 0x5,", "does not belong"),
    ],
)
def test_header_structure(text: str, old: str, new: str, words: str, directory: Path) -> None:
    path = directory / "vectors.h"
    replace(path, line_of(path, text), old, new)
    reseal(directory)
    assert any(line.startswith("vectors.h") and words in line for line in found(directory))


def with_array(directory: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with np.load(directory / "vectors.npz") as archive:
        arrays = dict(archive)
    arrays[name] = change(arrays[name])
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    (directory / "vectors.npz").write_bytes(buffer.getvalue())
    reseal(directory)


def flipped(array: np.ndarray) -> np.ndarray:
    array[1, 2] ^= 1
    return array


@pytest.mark.parametrize("name", ["acc", "trace"])
def test_npz_result(name: str, directory: Path) -> None:
    with_array(directory, name, flipped)
    (line,) = found(directory)
    assert line.startswith(f"vectors.npz: {name}[1{', 2]' if name == 'acc' else '].a_range'} is ")


@pytest.mark.parametrize("name", ["a", "b"])
def test_npz_code(name: str, directory: Path) -> None:
    """It contradicts its seed, the hex file and the header, and no accumulator follows from it."""
    with_array(directory, name, flipped)
    lines = found(directory)
    assert lines[0].startswith(f"vectors.npz: {name}[1, 2] is ")
    assert "by pattern and seed 1" in lines[0]
    assert any(line.startswith(f"{name}.hex:{1 + (11 if name == 'a' else 5) + 3}: ") for line in lines)
    assert any(line.startswith("vectors.h:") and f"golden_{name}[1, 2]" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("acc", lambda x: x.astype(np.int32), "acc is int32 (7, 5), expected int64 (7, 5)"),
        ("acc", lambda x: x.T, "acc is int64 (5, 7), expected int64 (7, 5)"),
        ("a", lambda x: x + 32, "codes of 5 bits"),
        ("a", lambda x: x.astype(object), "pickle"),
        ("a", lambda x: x * 0.5, "unsigned integers"),
    ],
)
def test_npz_of_another_kind(
    name: str, change: Callable[[np.ndarray], np.ndarray], words: str, directory: Path
) -> None:
    with_array(directory, name, change)
    assert any(line.startswith("vectors.npz: ") and words in line for line in found(directory))


def test_npz_with_other_arrays_or_none(directory: Path) -> None:
    with zipfile.ZipFile(directory / "vectors.npz") as archive:
        contents = {entry: archive.read(entry) for entry in archive.namelist()}
    for left_out, added in (("acc.npy", None), ("b.npy", None), (None, "extra.npy")):
        with zipfile.ZipFile(directory / "vectors.npz", "w") as archive:
            for entry, data in contents.items():
                if entry != left_out:
                    archive.writestr(entry, data)
            if added:
                archive.writestr(added, contents["a.npy"])
        reseal(directory)
        name = (left_out or added or "").removesuffix(".npy")
        assert any(line.startswith("vectors.npz: ") and repr(name) in line for line in found(directory))
    np.save(directory / "plain.npy", np.zeros(3))
    (directory / "plain.npy").rename(directory / "vectors.npz")
    assert any(line.startswith("vectors.npz: cannot be read as npz") for line in found(directory))


@pytest.mark.parametrize(
    ("text", "old", "new", "file"),
    [
        ('"overflow": "saturate"', "saturate", "wrap", "acc.hex"),
        ('"alignment": "product"', "product", "deferred", "trace.hex"),
        ('"kind": "sequential"', '"sequential"', '"tree", "lanes": 2', "trace.hex"),
        ('"shift": 3', "3", "2", "acc.hex"),
        ('"scale": 0.1', "0.1", "0.2", "vectors.h"),
        ('"seed": 1', "1", "2", "vectors.npz"),
        ('"name": "golden"', "golden", "silver", "vectors.h"),
    ],
)
def test_manifest_of_another_datapath(text: str, old: str, new: str, file: str, directory: Path) -> None:
    path = directory / "manifest.json"
    replace(path, line_of(path, text), old, new)
    reseal(directory)
    assert any(line.startswith(f"{file}") for line in found(directory))


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ('"outputs": ', '"outputs": ', '"outputs": 1'),
        ('"steps": 11', "11", "12"),
        ('"c_type": "int16_t"', "int16_t", "int8_t"),
        ('"codes": "a code is', "a code is", "a code may be"),
        ('"acc.hex": "', '"acc.hex": "', '"acc2.hex": "'),
    ],
)
def test_manifest_that_says_something_else(text: str, old: str, new: str, directory: Path) -> None:
    path = directory / "manifest.json"
    line = line_of(path, text)
    replace(path, line, old, new)
    reseal(directory)
    assert any(finding.startswith(f"manifest.json:{line}: ") for finding in found(directory))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "manifest.json:1: is no JSON"),
        ('{\n"schema": \n', "manifest.json:3: is no JSON"),
        ("[]", "describes no golden vectors"),
        ("{}", "'schema' is missing"),
        ('{"schema": "ptqsim golden vectors, 9"}', "schema 'ptqsim golden vectors, 9'"),
        ('{"schema": "ptqsim golden vectors, 1"}', "'name' is missing"),
    ],
)
def test_manifest_that_is_none(content: str, words: str, directory: Path) -> None:
    (directory / "manifest.json").write_text(content, encoding="utf-8")
    (line,) = found(directory)
    assert words in line


@pytest.mark.parametrize("key", ["name", "versions", "source", "accumulator", "a", "b", "trace", "files"])
@pytest.mark.parametrize("value", [None, 3, "text", [], {}, [1, 2, 3]])
def test_manifest_fields_of_another_type(key: str, value: object, directory: Path) -> None:
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    manifest[key] = value
    (directory / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    lines = found(directory)
    assert any(line.startswith(("manifest.json", "vectors")) for line in lines)


def test_manifest_with_more_lines(directory: Path) -> None:
    path = directory / "manifest.json"
    lines = path.read_text(encoding="utf-8").count("\n") + 1
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert found(directory) == [f"manifest.json:{lines}: has {lines + 1} lines, expected {lines}"]


def test_accumulators_beside_a_trap(tmp_path: Path) -> None:
    golden.write(make("gelu", "trap", "sequential", "product"), tmp_path)
    (tmp_path / "acc.hex").write_text("00\n", encoding="ascii")
    assert found(tmp_path) == ["acc.hex: is there, and the datapath traps"]


def test_no_manifest_is_wrong_input(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match="holds no manifest"):
            golden.check(path)
