"""A process in which everything runs on one thread, as where there is a process for each core."""

from __future__ import annotations

from functools import cache

import torch
from threadpoolctl import threadpool_limits

import ptqsim as pq


@cache
def settle_on_one_thread() -> None:
    """Torch, BLAS and the kernels of this process on one thread from now on."""
    torch.set_num_threads(1)
    threadpool_limits(1)
    pq.set_num_threads(1)
