"""The order of sums in float mode, and where a call of torch comes from: two facts that hold within a block of code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_AS_GIVEN: ContextVar[bool] = ContextVar("as_given", default=False)
_INSIDE: ContextVar[bool] = ContextVar("inside_operation", default=False)


@contextmanager
def sums_as_given() -> Iterator[None]:
    """Within it, operations in float mode sum in the order of the original network, to the last bit.

    Attention and the patch projection then call the functions of torch that the original calls, in which no single
    product can be seen.  An operation that has an observer or a hook keeps its visible product.
    """
    token = _AS_GIVEN.set(True)
    try:
        yield
    finally:
        _AS_GIVEN.reset(token)


def given_sums_wanted() -> bool:
    """True within :func:`sums_as_given`."""
    return _AS_GIVEN.get()


@contextmanager
def own_products() -> Iterator[None]:
    """Within it, what is asked of torch is asked by an operation."""
    token = _INSIDE.set(True)
    try:
        yield
    finally:
        _INSIDE.reset(token)


def inside_operation() -> bool:
    """True while an operation runs: what it asks torch for is its own product."""
    return _INSIDE.get()
