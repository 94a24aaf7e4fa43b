"""The number of threads of the simulator's own loops; no result depends on it."""

from __future__ import annotations

from ptqsim.common.validation import checked_integer
from ptqsim.kernels.runtime import threads as _threads


def get_num_threads() -> int:
    """Number of threads of the simulator's own loops: by default the cores that the process may run on."""
    return _threads.threads()


def set_num_threads(count: int) -> None:
    """Set the number of threads of the simulator's own loops.

    Products of exact operands run in numpy's BLAS, whose threads are set as for numpy (OMP_NUM_THREADS).

    Raises
    ------
    ValueError
        If `count` is not an integer from 1 to 1024.
    """
    _threads.use(checked_integer("the number of threads", count, 1, _threads.MOST))
