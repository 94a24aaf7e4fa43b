"""``ptqsim bounds`` on plain numbers, against arithmetic done by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ptqsim.cli.framework import app


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert app.main(["bounds", *arguments, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.parametrize(("depth", "bits"), [(384, 32), (1536, 34)])
@pytest.mark.parametrize("a_format", ["twin_softmax", "twin_gelu"])
def test_int32_is_not_safe_for_twin_formats(
    a_format: str, depth: int, bits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """k = 8, m = 8: a product reaches (127 << 8) * -128 = -4161536; the widths are those of the specification."""
    result = run(capsys, "--bits", "8", "--shift", "8", "--depth", str(depth), "--a-format", a_format)
    datatype = next(bound for bound in result["bounds"] if bound["name"] == "datatype")
    assert datatype["bits"] == bits
    assert datatype["lowest"] == -4161536 * depth
    assert -(1 << (bits - 1)) <= datatype["lowest"] < -(1 << (bits - 2))
    assert datatype["kind"] == "theorem"
    assert str(depth) in datatype["why"]


def test_softmax_rows_need_fewer_bits_and_only_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    softmax = run(capsys, "--shift", "8", "--depth", "197", "--a-format", "twin_softmax")
    assert [bound["name"] for bound in softmax["bounds"]] == ["datatype", "row_stochastic"]
    assert softmax["bits"] == softmax["bounds"][1]["bits"] < softmax["bounds"][0]["bits"]
    gelu = run(capsys, "--shift", "8", "--depth", "197")
    assert [bound["name"] for bound in gelu["bounds"]] == ["datatype"]


def test_uniform_operands_of_two_widths(capsys: pytest.CaptureFixture[str]) -> None:
    """-8 * -128 * 2 = 2048 = 2^11 needs 13 bits in two's complement."""
    result = run(capsys, "--bits", "4", "--b-bits", "8", "--depth", "2")
    assert (result["bounds"][0]["highest"], result["bits"]) == (2048, 13)


def test_deferred_registers_see_no_shift(capsys: pytest.CaptureFixture[str]) -> None:
    """127 * -128 * 2 = -32512 fits 16 bits, whatever the shift."""
    result = run(capsys, "--shift", "8", "--depth", "2", "--alignment", "deferred")
    assert result["bits"] == 16


def test_unsigned_codes_with_a_zero_point(capsys: pytest.CaptureFixture[str]) -> None:
    """(255 - 113) * -128 * 2 by operands; corrected, 255 * 127 more than -113 * 127, twice: 2 * 142 * 127."""
    asymmetric = ("--a-unsigned", "--a-zero-point", "113", "--depth", "2")
    by_operand = run(capsys, *asymmetric)
    assert (by_operand["bounds"][0]["lowest"], by_operand["bounds"][0]["highest"]) == (-36352, 36068)
    corrected = run(capsys, *asymmetric, "--zero-point", "correction")
    assert (corrected["bounds"][0]["lowest"], corrected["bounds"][0]["highest"]) == (-36352, 36068)
    assert corrected["a"]["zero_point"] == 113
    assert run(capsys, "--b-unsigned", "--b-zero-point", "200", "--depth", "1")["b"]["signed"] is False
    assert app.main(["bounds", "--a-zero-point", "5", "--shift", "3", "--depth", "2"]) == 2
    assert "zero points are those of uniform" in capsys.readouterr().err
    assert app.main(["bounds", "--a-zero-point", "128", "--depth", "2"]) == 2
    assert "must be an integer from -128 to 127, got 128" in capsys.readouterr().err


def test_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["bounds", "--shift", "8", "--depth", "1536"]) == 0
    told = capsys.readouterr()
    assert "datatype" in told.out
    assert "34" in told.out
    assert "weight_aware" in told.err


def test_powers_of_two(capsys: pytest.CaptureFixture[str]) -> None:
    """Log2 of 4 bits goes up to 2^14 on its finest grid: 2^14 * -2^3 * 2 = -2^18, which 19 bits just hold."""
    result = run(capsys, "--a-format", "log2", "--bits", "4", "--depth", "2")
    assert (result["bounds"][0]["lowest"], result["bits"]) == (-(2**18), 19)


def test_finer_logarithms(capsys: pytest.CaptureFixture[str]) -> None:
    """With q = 2 the greatest shift of 4 bits is 7, and fractions have 8: 2^15 * -2^7 = -2^22, which 23 bits hold."""
    result = run(capsys, "--a-format", "log_sqrt2", "--bits", "4", "--b-bits", "8", "--depth", "1")
    assert (result["bounds"][0]["lowest"], result["bits"]) == (-(2**22), 23)
    assert (result["a"]["root"], result["a"]["fraction_bits"]) == (2, 8)
    assert run(capsys, "--a-format", "log_root4", "--bits", "6", "--depth", "1")["a"]["root"] == 4


def test_small_floats(capsys: pytest.CaptureFixture[str]) -> None:
    """E4M3 reaches 14 << 14 and E2M1 3 << 2: 2752512 each, and 384 of them are 2^29.98, which takes 31 bits."""
    result = run(capsys, "--a-format", "e4m3", "--b-format", "e2m1", "--depth", "384")
    assert (result["bounds"][0]["highest"], result["bits"]) == (384 * 2752512, 31)
    assert (result["a"]["special"], result["b"]["exponent_bits"]) == ("fn", 2)
    mixed = run(capsys, "--a-format", "e2m1", "--bits", "4", "--b-bits", "8", "--depth", "1")
    assert (mixed["bounds"][0]["lowest"], mixed["b"]["bits"]) == (-12 * 128, 8)
    assert run(capsys, "--a-format", "e5m2", "--depth", "1")["b"]["bits"] == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--depth"]),
        (["--depth", "64", "--bits", "17"], ["bits", "16", "17"]),
        (["--depth", "64", "--shift", "-1"], ["shift", "-1"]),
        (["--depth", "-1"], ["depth", "-1"]),
        (
            ["--depth", "64", "--a-format", "twin_softmx", "--shift", "3"],
            ["twin_softmx", "Did you mean 'twin_softmax'?"],
        ),
        (["--depth", "64", "--a-format", "twin_gelu"], ["needs its alignment exponent", "--shift 8"]),
        (["--depth", "64", "--a-format", "uniform", "--shift", "3"], ["no shift", "--a-format twin_gelu"]),
        (["--depth", "64", "--a-format", "log2", "--bits", "8"], ["up to 5 bits"]),
        (["--depth", "64", "--a-format", "e2m1", "--bits", "8"], ["codes of 4 bits, got a width of 8", "--b-bits"]),
        (["--depth", "64", "--b-format", "e2m1", "--b-bits", "8"], ["codes of 4 bits, got a width of 8"]),
        (["--depth", "64", "--a-format", "e4m3", "--shift", "3"], ["leave --shift out"]),
        (["--depth", "64", "--a-format", "log_sqrt2", "--bits", "7"], ["would take 72 bits", "up to 48"]),
        (["--depth", "64", "--a-format", "log_root4", "--shift", "1"], ["leave --shift out"]),
        (["--depth", "64", "--a-format", "e4m33"], ["e4m33", "Did you mean 'e4m3'?"]),
        (["--depth", "64", "--b-format", "log2"], ["--b-format 'log2'", "'uniform', 'e5m2'"]),
        (["model.safetensors", "--b-format", "e4m3"], ["--b-format out"]),
        (["--depth", "64", "--alignment", "defered"], ["defered", "Did you mean 'deferred'?"]),
    ],
)
def test_wrong_input(arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["bounds", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert told.err.startswith("ptqsim bounds: ")
    assert all(word in told.err for word in words), told.err


def test_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    """12 * 12 * 32 = 4608 quarters in each of three blocks, the last one of 6 values, with scales of 2 and 1/2."""
    given = ("--a-format", "mxfp4", "--depth", "70", "--weight", "-2", "--a-scale", "2", "--b-scale", "0.5")
    assert run(capsys, *given)["bounds"][0]["highest"] == 144 * 70
    widest = run(capsys, "--a-format", "mxfp4", "--b-format", "mxint8", "--depth", "32", "--weight", "-7")
    assert (widest["bits"], widest["rounding"]) == ((32 * 12 * 128 << 254).bit_length() + 1, "cut")
    assert run(capsys, "--a-format", "nvfp4", "--depth", "16", "--weight", "-20")["bits"] <= 63
    assert app.main(["bounds", "--a-format", "mxfp8", "--depth", "40", "--weight", "0"]) == 0
    shown = capsys.readouterr()
    assert "40 ends with a block of 8 values, which is padded with 24 zeros" in " ".join(
        (shown.out + shown.err).split()
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--a-format", "mxfp8", "--weight", "0"), "no --depth was given"),
        (("--a-format", "mxfp8", "--depth", "8"), "give its exponent, for instance --weight -16"),
        (
            ("--a-format", "mxfp8", "--b-format", "e4m3", "--depth", "8"),
            "--b-format e4m3 was given beside mxfp8, a block format",
        ),
        (("--b-format", "mxfp8", "--depth", "8"), "blocks are multiplied by blocks: give --a-format too"),
        (("--a-format", "mxfp8", "--b-format", "nvfp4", "--depth", "8"), "give formats of one size"),
        (("--a-format", "mxfp8", "--bits", "8", "--depth", "8"), "leave --bits out"),
        (("--a-format", "mxfp8", "--depth", "8", "--weight", "0", "--a-scale", "3"), "powers of two from 2**-127"),
        (("--depth", "8", "--weight", "0"), "--weight is for blocks: give --a-format one of mxint8, mxfp8"),
        (("--a-format", "mxfp9", "--depth", "8"), "unknown --a-format 'mxfp9'"),
    ],
)
def test_blocks_that_are_refused(arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["bounds", *arguments]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
