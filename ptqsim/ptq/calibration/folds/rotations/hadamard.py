"""Hadamard matrices by the constructions of Sylvester and Paley."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Signs = NDArray[np.int8]


def hadamard(order: int) -> Signs | None:
    """A matrix H of +1 and -1 with H H^T = order I, int8 [order, order]; None where these constructions have none.

    The order is 2**k m, where m is 1, or p + 1 of a prime p that is 3 modulo 4, or 2 (p + 1) of a prime p that is 1
    modulo 4 (Paley, On Orthogonal Matrices, J. Math. Phys. 1933); m is as small as it can be.  Powers of two double a
    matrix (Sylvester, 1867).  The widths of vision transformers are such orders: 192, 384 and 768 are 12 times a power
    of two, 1280 is 20 times one.

    Parameters
    ----------
    order : int
        1 or more.
    """
    small, doublings = order, 0
    while small % 2 == 0:
        small, doublings = small // 2, doublings + 1
    for left in range(doublings, -1, -1):
        core = _core(small * 2 ** (doublings - left))
        if core is not None:
            for _ in range(left):
                core = np.block([[core, core], [core, -core]])
            return core
    return None


def _core(order: int) -> Signs | None:
    if order == 1:
        return np.ones((1, 1), np.int8)
    if order % 4 == 0 and _is_prime(p := order - 1):  # p = 3 modulo 4, the conference matrix is skew
        return np.eye(order, dtype=np.int8) + _conference(p, -1)
    if order % 4 == 0 and (p := order // 2 - 1) % 4 == 1 and _is_prime(p):
        ones, signs = np.array([[1, 1], [1, -1]], np.int8), np.array([[1, -1], [-1, -1]], np.int8)
        return np.kron(_conference(p, 1), ones) + np.kron(np.eye(p + 1, dtype=np.int8), signs)
    return None


def _conference(p: int, corner: int) -> Signs:
    """Matrix C of order p + 1, zero on the diagonal, signs elsewhere, with C C^T = p I; corner is its first column."""
    squares = {x * x % p for x in range(1, p)}
    symbol = np.array([0, *(1 if x in squares else -1 for x in range(1, p))], np.int8)
    found = np.zeros((p + 1, p + 1), np.int8)
    found[0, 1:], found[1:, 0] = 1, corner
    found[1:, 1:] = symbol[(np.arange(p)[:, None] - np.arange(p)) % p]
    return found


def _is_prime(p: int) -> bool:
    return p > 1 and all(p % q for q in range(2, int(p**0.5) + 1))
