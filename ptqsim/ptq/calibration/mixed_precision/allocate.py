"""The choice of a width for every module: the paper's, and the optimum that it can be measured against.

Both minimize Omega = sum of Omega_i (Liu et al. Eq. 17) among the choices whose weights fit a size.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Choice = NDArray[np.int64]
"""[modules]: the number of the width of each."""


@dataclass(frozen=True)
class Allocation:
    """The choices to be made.

    Attributes
    ----------
    omega : float64 array [modules, widths]
        Omega_i of each width; the widths are in rising order.
    size : float64 array [modules, widths]
        Size of each, in any unit.
    sensitivity : float64 array [modules]
        By which the modules are sorted: tr(A_i) or tr(O_j), or the trace of the Hessian.
    budget : float
        The size that all may take together.
    """

    omega: Floats
    size: Floats
    sensitivity: Floats
    budget: float

    def __post_init__(self) -> None:
        least = float(self.size.min(axis=1).sum())
        if least > self.budget:
            raise ValueError(
                f"a model size of {self.budget:.6g} can't be met: the least widths take {least:.6g}; "
                "raise model_size, or allow smaller widths"
            )

    def cost(self, choice: Choice) -> float:
        """Omega of a choice."""
        return float(self.omega[np.arange(len(choice)), choice].sum())

    def taken(self, choice: Choice) -> float:
        """Size of a choice."""
        return float(self.size[np.arange(len(choice)), choice].sum())


def frontier(allocation: Allocation) -> list[Choice]:
    """Pareto frontier of size against Omega, least size first, among the choices that follow the sensitivity.

    Those give a more sensitive module no fewer bits than a less sensitive one, which leaves C(L + B - 1, B - 1) of B^L
    configurations: the sensitivity is what the paper reduces the search space by.
    """
    # of equally sensitive modules the one that the least width costs most goes first
    order = np.lexsort((-allocation.omega[:, 0], -allocation.sensitivity))
    modules, widths = allocation.omega.shape
    falling = range(widths - 1, -1, -1)  # the most sensitive modules get the most bits

    def sums(table: Floats) -> Floats:
        # sums[b, k]: of the k most sensitive modules at width b
        return np.concatenate([np.zeros((widths, 1)), table[order].T.cumsum(axis=1)], axis=1)

    cuts = np.array(list(combinations_with_replacement(range(modules + 1), widths - 1)), dtype=np.int64)
    cuts = cuts.reshape(-1, widths - 1)
    edges = np.concatenate([np.zeros((len(cuts), 1), np.int64), cuts, np.full((len(cuts), 1), modules)], axis=1)
    omega, size = sums(allocation.omega), sums(allocation.size)
    costs = sum(omega[b, edges[:, j + 1]] - omega[b, edges[:, j]] for j, b in enumerate(falling))
    sizes = sum(size[b, edges[:, j + 1]] - size[b, edges[:, j]] for j, b in enumerate(falling))
    found: list[Choice] = []
    best = np.inf
    for row in np.lexsort((costs, sizes)):
        if costs[row] < best:
            best = costs[row]
            choice = np.empty(modules, np.int64)
            for j, b in enumerate(falling):
                choice[order[edges[row, j] : edges[row, j + 1]]] = b
            found.append(choice)
    return found


def pareto(allocation: Allocation) -> Choice:
    """The paper's choice: on the Pareto frontier, the least Omega within the budget."""
    fitting = [choice for choice in frontier(allocation) if allocation.taken(choice) <= allocation.budget]
    return min(fitting, key=allocation.cost)


def optimum(allocation: Allocation) -> Choice:
    """The least Omega of all choices within the budget, by integer programming: a 0/1 variable per module and width."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    modules, widths = allocation.omega.shape
    one_each = np.kron(np.eye(modules), np.ones(widths))
    found = milp(
        allocation.omega.ravel() / max(float(allocation.omega.max()), np.finfo(float).tiny),
        integrality=np.ones(modules * widths),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(allocation.size.ravel()[None] / allocation.budget, -np.inf, 1),
        ],
        options={"mip_rel_gap": 0.0},
    )
    if found.x is None:
        raise ValueError(f"the integer program was not solved ({found.message}); try solver='pareto'")
    choice: Choice = found.x.reshape(modules, widths).argmax(axis=1)
    return min(choice, pareto(allocation), key=allocation.cost)  # what is below the solver's tolerance it can't see
