"""Matrices as nested lists, for arithmetic in Python integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Nested: TypeAlias = list[Any]
"""Lists of lists, as deep as an array has dimensions."""


def mapped_outputs(a: Nested, b: Nested, output: Callable[..., int], element: tuple[int, ...] = ()) -> Nested:
    """``output(row of a, column of b, element)`` for every output of a batch of matrix products."""
    depth_a, depth_b = _depth(a), _depth(b)
    if min(depth_a, depth_b) < 2 and not element:
        raise ValueError("nested lists for a and b need two dimensions or more, and a depth K of 1 or more")
    if depth_a == depth_b == 2:
        columns = [list(column) for column in zip(*b, strict=True)]
        return [[output(row, column, (*element, i, j)) for j, column in enumerate(columns)] for i, row in enumerate(a)]
    if depth_a != depth_b:
        rest_a = a if depth_a > depth_b else [a]
        rest_b = b if depth_b > depth_a else [b]
    else:
        rest_a, rest_b = a, b
    count = max(len(rest_a), len(rest_b)) if 0 not in (len(rest_a), len(rest_b)) else 0
    if not {len(rest_a), len(rest_b)} <= {1, count}:
        raise ValueError(f"leading dimensions of {len(rest_a)} and {len(rest_b)} do not broadcast")
    return [
        mapped_outputs(rest_a[i % len(rest_a)], rest_b[i % len(rest_b)], output, (*element, i)) for i in range(count)
    ]


def mapped(nested: Any, function: Callable[[Any], Any]) -> Any:
    """The function of every item, nested as they are."""
    return [mapped(item, function) for item in nested] if isinstance(nested, list) else function(nested)


def _depth(nested: Any) -> int:
    return 1 + _depth(nested[0]) if isinstance(nested, list) and nested else int(isinstance(nested, list))
