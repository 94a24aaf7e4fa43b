"""Products by integer instructions alone, within a block of code.

Where a bound proves that no addition rounds, a product may be one of floats, which are faster on some machines. Their
results are the same; a program that has to hold no floating-point number asks for integers here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_WANTED: ContextVar[bool] = ContextVar("integer_kernels", default=False)


@contextmanager
def integer_kernels() -> Iterator[None]:
    """Within it, products and sums are computed by integer instructions, on any machine."""
    token = _WANTED.set(True)
    try:
        yield
    finally:
        _WANTED.reset(token)


def integers_wanted() -> bool:
    """True within `integer_kernels`."""
    return _WANTED.get()
