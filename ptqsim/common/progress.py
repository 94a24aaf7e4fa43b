"""The one signature of progress callbacks, and of what opens them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """A callable that long work calls as it advances.

    Parameters
    ----------
    done, total : int
        Units of work that are finished, and all of them.
    state : str
        A few words on the work, such as the name of the layer that was finished; empty where there is nothing to say.
    """

    def __call__(self, done: int, total: int, state: str = "", /) -> None:
        """Take note of how far the work is."""


def silent(done: int, total: int, state: str = "", /) -> None:
    """Progress that nobody sees."""


Bars = Callable[[str, str], AbstractContextManager[Progress]]
"""``bars(description, unit)`` opens a progress bar, for work of several parts whose units differ."""


@contextmanager
def no_bar(description: str, unit: str) -> Iterator[Progress]:
    """A bar that is not shown."""
    yield silent


def prefixed(progress: Progress, words: str) -> Progress:
    """Progress whose state begins with some words."""

    def report(done: int, total: int, state: str = "", /) -> None:
        progress(done, total, f"{words}: {state}")

    return report
