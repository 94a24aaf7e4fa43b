"""Block formats on the command line: their names, the register that they go into, and its bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

import typer

import ptqsim as pq
from ptqsim.formats.blocks.named import BLOCKS as BLOCKS

WeightOption = Annotated[
    int | None, typer.Option("--weight", help="Of blocks: exponent of the weight of the register's least bit.")
]
RoundingOption = Annotated[
    str | None, typer.Option("--rounding", help="Of blocks: bits below the least one are cut, or half_even; cut.")
]
AScaleOption = Annotated[
    float | None, typer.Option("--a-scale", help="Of blocks: the largest scale of a left block; the format's.")
]
BScaleOption = Annotated[
    float | None, typer.Option("--b-scale", help="Of blocks: the largest scale of a right block; the format's.")
]


def block_formats(a_format: str | None, b_format: str | None, plain: Mapping[str, object]) -> tuple[pq.Block, pq.Block]:
    """Both formats, of which one at least is the name of a block format; the right one is the left one by default.

    Parameters
    ----------
    a_format, b_format : str or None
        Their names.
    plain : mapping of str to object
        Options that blocks do not have, with what was given or None.

    Raises
    ------
    ValueError
        If one is no block format, their blocks have other sizes, or an option was given.
    """
    b_format = a_format if b_format is None else b_format
    for option, name, other in (("--a-format", a_format, b_format), ("--b-format", b_format, a_format)):
        if name is None:
            raise ValueError(f"{other} is a block format, and blocks are multiplied by blocks: give {option} too")
        if name not in BLOCKS:
            raise ValueError(
                f"{option} {name} was given beside {other}, a block format, and blocks are multiplied by blocks; legal "
                f"are {', '.join(BLOCKS)}"
            )
    given = [option for option, value in plain.items() if value is not None]
    if given:
        raise ValueError(f"{a_format} says what its codes are, and its scales align them: leave {', '.join(given)} out")
    assert a_format is not None
    assert b_format is not None
    a, b = BLOCKS[a_format], BLOCKS[b_format]
    if a.block != b.block:
        raise ValueError(
            f"{a_format} has blocks of {a.block} values and {b_format} of {b.block}: give formats of one size"
        )
    return a, b


def is_block(*names: str | None) -> bool:
    """True if one of the names is that of a block format."""
    return any(name in BLOCKS for name in names)


def refuse_blocks(option: str, name: str | None, legal: Iterable[str]) -> None:
    """Refuse the name of a block format where a command takes no blocks."""
    if name in BLOCKS:
        raise ValueError(
            f"{option} {name} is a block format, which ptqsim bounds, vectors and rtl generate take and this command "
            "does not; legal are "
            f"{', '.join(legal)}"
        )


def refuse_block_options(options: Mapping[str, object]) -> None:
    """Refuse options of blocks where no format is one."""
    given = [option for option, value in options.items() if value is not None]
    if given:
        raise ValueError(
            f"{', '.join(given)} {'is' if len(given) == 1 else 'are'} for blocks: give --a-format one of "
            f"{', '.join(BLOCKS)}, or leave it out"
        )


def fixed_point(weight: int | None, rounding: str | None, bits: int = 32, overflow: str = "wrap") -> pq.FixedPoint:
    """The register of a product of blocks.

    Raises
    ------
    ValueError
        Without a weight.
    """
    if weight is None:
        raise ValueError(
            "the register of a product of blocks has a least bit of some weight 2**w: give its exponent, for instance "
            "--weight -16"
        )
    return pq.FixedPoint(bits, weight, overflow, "cut" if rounding is None else rounding)


def padded(depth: int, block: int) -> str | None:
    """A note on the last block, if the depth does not fill it."""
    left = depth % block
    if not left:
        return None
    return f"a depth of {depth} ends with a block of {left} values, which is padded with {block - left} zeros"
