"""The choice among candidates that an objective cannot tell apart.

An objective decides where one candidate scores best.  Where several share the best score, or no score is finite, the
first of these criteria that differs among them decides:

1. ``mse``: the squared error of the output, all of whose elements count the same;
2. ``own_error``: the squared error of the operand itself, as where the other operand is all zero;
3. ``maximum``: the scale nearest to max / 2**(bits-1), as where the operand is all zero too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from ptqsim.ptq.network.products.fake_quant import fake_quantize
from ptqsim.ptq.search.candidates import Candidates
from ptqsim.ptq.search.capture import OperationData
from ptqsim.ptq.search.objectives import find_objective
from ptqsim.ptq.search.outputs.products import Partials
from ptqsim.ptq.search.race import Chosen, Outcome, race

SQUARED_ERROR: Final = find_objective("mse")


class Parts(NamedTuple):
    """The sums of an objective, part by part, and the number of parts."""

    partials: Partials
    number: int


@dataclass(frozen=True)
class Tie:
    """Candidates of one group that the objective could not tell apart.

    Attributes
    ----------
    operand : {"a", "b"}
    group : int or None
        None where one format serves all groups.
    tied, of : int
        Candidates that shared the best score, and all of them.
    reason : str
    decided_by : {"mse", "own_error", "maximum"}
        The criterion that chose among them.
    """

    operand: str
    group: int | None
    tied: int
    of: int
    reason: str
    decided_by: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for reports."""
        return asdict(self)


def break_ties(
    operand: str,
    data: OperationData,
    space: Candidates,
    outcome: Outcome,
    name: str,
    squared_error: Callable[[], Parts],
) -> tuple[Chosen, list[Tie]]:
    """Choose among the candidates that share the best score.

    Parameters
    ----------
    operand : {"a", "b"}
    data : OperationData
    space : Candidates
        Of that operand.
    outcome : Outcome
        Of the race by the objective.
    name : str
        Of the objective.
    squared_error : callable
        The parts of the squared error, with the other operand as it was in the race; called where it is needed.

    Returns
    -------
    chosen : tuple of int
        One candidate number per group.
    ties : list of Tie
        Of the groups that the objective did not decide.
    """
    left = list(outcome.tied)
    undecided = [g for g, tied in enumerate(left) if len(tied) > 1]
    if not undecided:
        return outcome.chosen, []
    decided_by = {}
    x = data.a if operand == "a" else data.b

    def narrow(found: Sequence[Chosen], criterion: str) -> None:
        for g in undecided:
            if len(left[g]) > 1:
                left[g], decided_by[g] = found[g], criterion

    if name != SQUARED_ERROR.name:
        parts = squared_error()
        again = race(_only(space, left), parts.partials, parts.number, SQUARED_ERROR)
        narrow([tuple(dict.fromkeys(_at(left[g], c) for c in tied)) for g, tied in enumerate(again.tied)], "mse")
    if any(len(tied) > 1 for tied in left):
        narrow([_least_own_error(x, space, g, tied) for g, tied in enumerate(left)], "own_error")
    if any(len(tied) > 1 for tied in left):
        narrow([_nearest_to_maximum(space, g, tied) for g, tied in enumerate(left)], "maximum")
    ties = [
        Tie(
            operand,
            g if space.groups > 1 else None,
            len(outcome.tied[g]),
            len(space),
            _reason(name, data, space, outcome, g),
            decided_by[g],
        )
        for g in undecided
    ]
    return tuple(tied[0] for tied in left), ties


def _at(tied: Chosen, row: int) -> int:
    return tied[min(row, len(tied) - 1)]


def _only(space: Candidates, tied: Sequence[Chosen]) -> Candidates:
    """The tied candidates of each group; a group with fewer than another repeats its last."""
    rows = [[_at(of_group, row) for of_group in tied] for row in range(max(map(len, tied)))]
    return Candidates(tuple(map(space.choose, rows)), tuple(map(space.choose_normalized, rows)))


def _least_own_error(x: torch.Tensor, space: Candidates, group: int, tied: Chosen) -> Chosen:
    """Those that round the operand itself best."""
    values = x if space.groups == 1 else x[group : group + 1]
    errors = [
        float((fake_quantize(values, (space.formats[c][group],)).double() - values.double()).square().sum())
        for c in tied
    ]
    return tuple(c for c, error in zip(tied, errors, strict=True) if error == min(errors))


def _nearest_to_maximum(space: Candidates, group: int, tied: Chosen) -> Chosen:
    """The one whose range ends nearest to the greatest magnitude; the first of equals."""
    return (min(tied, key=lambda c: abs(space.normalized[c][group] - 1)),)


def _reason(name: str, data: OperationData, space: Candidates, outcome: Outcome, group: int) -> str:
    if data.grad is not None and name == "hessian":
        grad = data.grad if space.groups == 1 else data.grad[group]
        if not bool(torch.isfinite(grad).all()):
            return "the gradient of the output is not finite"
        if not bool(grad.any()):
            return "the gradient of the output is zero"
    if not np.isfinite(outcome.best[group]):
        return "no score is finite"
    tied = len(outcome.tied[group])
    return f"{'all' if tied == len(space) else tied} candidates score {outcome.best[group]:.4g}"
