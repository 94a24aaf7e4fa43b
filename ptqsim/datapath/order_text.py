"""Orders of accumulation as people write them: ``sequential``, ``tree:16``, ``split:64:20``."""

from __future__ import annotations

from ptqsim.datapath.spec import Order, Sequential, Split, Tree
from ptqsim.errors import unknown_name


def parse_order(text: str) -> Order:
    """An order of accumulation from its text form."""
    name, *numbers = text.split(":")
    try:
        match name, [int(n) for n in numbers]:
            case "sequential", []:
                return Sequential()
            case "tree", [lanes]:
                return Tree(lanes=lanes)
            case "split", [tile, inner_bits]:
                return Split(tile=tile, inner_bits=inner_bits)
    except ValueError as error:
        if "invalid literal" not in str(error):
            raise
    if name not in ("sequential", "tree", "split"):
        raise unknown_name("order", text, ("sequential", "tree:LANES", "split:TILE:INNER_BITS"))
    raise ValueError(
        f"order {text!r} can't be read; legal are sequential, tree:LANES and split:TILE:INNER_BITS: try tree:16"
    )
