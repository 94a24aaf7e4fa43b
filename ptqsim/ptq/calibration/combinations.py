"""Options of a calibration that exclude each other, refused before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ptqsim.formats.blocks.named import BLOCKS
from ptqsim.ptq.calibration.methods import Method
from ptqsim.ptq.calibration.operand_rules import Granularity, OperandRules
from ptqsim.ptq.search.operand_formats import NAMED_FORMATS

_PAIRS: Final = (("activation", "activation"), ("activation", "weight"), ("gelu", "weight"), ("softmax", "activation"))
"""Kinds of operands that are multiplied by each other."""
INTEGER_ONLY: Final = ("uniform", "asymmetric", "twin", "log2")
"""Formats by name that the units of integer-only networks write."""


def check_combination(method: Method, rules: OperandRules, *, integer_only: bool) -> None:
    """Refuse options that exclude each other with a ValueError that says which of them to leave out.

    Parameters
    ----------
    method : Method
    rules : OperandRules
    integer_only : bool
        True where the network is to run without floats.
    """
    formats = dict(rules.formats)
    _check_blocks(rules, formats)
    if (weight := formats.get("weight", "uniform")) != "uniform":
        if rules.fit is not None:
            raise ValueError(
                f"weights were to have format {weight!r} and to fit an accumulator; legal in a fit is 'uniform': leave "
                "one of the two out"
            )
        if method.reconstruction is not None:
            raise ValueError(
                f"weights were to have format {weight!r}, and method {method.name!r} learns codes of uniform ones; "
                "legal is 'uniform', or another method: try method='ptq4vit'"
            )
        if method.learns_rounding:
            raise ValueError(
                f"weights were to have format {weight!r}, and method {method.name!r} chooses codes of uniform ones by "
                "its rounding; legal is 'uniform', or rounding to the nearest: try weight_rounding='nearest'"
            )
    if rules.fit is not None and method.reconstruction is not None:
        raise ValueError(
            f"fit_accumulator was given, and method {method.name!r} learns codes that would no longer fit; leave "
            "fit_accumulator out, or take another method: try method='ptq4vit'"
        )
    if not integer_only:
        return
    for kind, name in rules.formats:
        if name not in INTEGER_ONLY:
            legal = ", ".join(one for one in INTEGER_ONLY if kind in NAMED_FORMATS[one].kinds)
            raise ValueError(
                f"operands of kind {kind!r} were to have format {name!r}, which an integer-only network does not have; "
                f"legal for them: {legal}; choose one of these, or leave integer_only (--integer-only) out"
            )


def _check_blocks(rules: OperandRules, formats: Mapping[str, str]) -> None:
    """Refuse block formats whose products no datapath has."""
    blocks = {kind: name for kind, name in formats.items() if name in BLOCKS}
    if not blocks:
        return
    if rules.fit is not None:
        kind, name = next(iter(blocks.items()))
        raise ValueError(
            f"operands of kind {kind!r} were to have block format {name!r}, and weights to fit an accumulator, "
            "in which no blocks are summed; leave fit_accumulator (--fit-accumulator) or the format out"
        )
    for pair in _PAIRS:
        sizes = {kind: BLOCKS[blocks[kind]].block for kind in pair if kind in blocks}
        if len(set(sizes.values())) > 1:
            first, second = pair
            raise ValueError(
                f"{blocks[first]!r} of kind {first!r} has blocks of {sizes[first]} values and {blocks[second]!r} of "
                f"kind {second!r} of {sizes[second]}, and both meet in a product; legal are blocks of one size"
            )
        if "weight" in pair and sizes and "weight" not in blocks and rules.granularity == Granularity.CHANNEL:
            raise ValueError(
                f"operands of kind {pair[0]!r} were to have block format {blocks[pair[0]]!r}, and weights a scale per "
                "channel, which blocks are not multiplied by; legal is w_granularity='tensor' (--w-granularity tensor)"
            )
