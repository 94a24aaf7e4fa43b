"""Running the project's own Python on symbols, and asking z3 whether a claim about the outcome can fail.

`Integer` is an unbounded integer that is not known. Arithmetic on it builds a z3 term. A comparison gives a `Truth`,
which counts as 0 or 1 in arithmetic; where Python has to know it, as in an ``if``, `outcomes` takes both ways, one
after the other. So the theorems in this folder are about the code that is run and not about a copy of it, wherever
that code is plain Python.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import z3

QUICK_MS, TIMEOUT_MS = 3_000, 600_000
_paths: list[_Path] = []  # the innermost run of `outcomes`
seen: list[z3.ArithRef] = []
"""Every value that was computed in the last run of `outcomes`."""


class Truth:
    """A comparison whose outcome is not known."""

    def __init__(self, term: Any) -> None:
        self.term = term

    def __bool__(self) -> bool:
        return _paths[-1].decide(self.term)

    @property
    def number(self) -> Integer:
        return Integer(z3.If(self.term, z3.IntVal(1), z3.IntVal(0)))

    def __and__(self, other: Truth) -> Truth:
        return Truth(z3.And(self.term, other.term))

    def __radd__(self, other: Integer | int) -> Integer:
        return self.number + other

    def __rsub__(self, other: Integer | int) -> Integer:
        return -self.number + other


class Integer:
    """An unbounded integer that is not known. Divisors and shifts are known and not negative."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, term: Any) -> None:
        self.term = term
        seen.append(term)

    def __add__(self, other: Any) -> Integer:
        return Integer(self.term + _term(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Integer:
        return Integer(self.term - _term(other))

    def __rsub__(self, other: Any) -> Integer:
        return Integer(_term(other) - self.term)

    def __mul__(self, other: Any) -> Integer:
        return Integer(self.term * _term(other))

    __rmul__ = __mul__

    def __neg__(self) -> Integer:
        return Integer(-self.term)

    def __abs__(self) -> Integer:
        return Integer(z3.If(self.term < 0, -self.term, self.term))

    def __floordiv__(self, divisor: int) -> Integer:
        assert divisor > 0  # z3 rounds down only then
        return Integer(self.term / divisor)

    def __mod__(self, divisor: int) -> Integer:
        assert divisor > 0
        return Integer(self.term % divisor)

    def __divmod__(self, divisor: int) -> tuple[Integer, Integer]:
        return self // divisor, self % divisor

    def __lshift__(self, shift: int) -> Integer:
        return Integer(self.term * (1 << shift))

    def __rshift__(self, shift: int) -> Integer:
        return self // (1 << shift)

    def __and__(self, mask: int) -> Integer:
        assert mask & (mask + 1) == 0, "a mask of low bits"
        return self % (mask + 1)

    def __lt__(self, other: Any) -> Truth:
        return Truth(self.term < _term(other))

    def __le__(self, other: Any) -> Truth:
        return Truth(self.term <= _term(other))

    def __gt__(self, other: Any) -> Truth:
        return Truth(self.term > _term(other))

    def __ge__(self, other: Any) -> Truth:
        return Truth(self.term >= _term(other))

    def __eq__(self, other: object) -> Truth:  # type: ignore[override]
        return Truth(self.term == _term(other))

    def __ne__(self, other: object) -> Truth:  # type: ignore[override]
        return Truth(self.term != _term(other))

    def __bool__(self) -> bool:
        return bool(self != 0)

    def astype(self, _: object) -> Integer:
        """As an array of Python integers would be: the same."""
        return self


Integral.register(Integer)


def _term(value: Any) -> Any:
    if isinstance(value, Truth):
        return value.number.term
    return value.term if isinstance(value, Integer) else z3.IntVal(int(value))


@dataclass
class _Path:
    """One way through the branches of a function: decisions that are given, then those that were free."""

    assumptions: tuple[Any, ...]
    given: tuple[bool, ...]
    conditions: list[Any] = field(default_factory=list)
    taken: list[bool] = field(default_factory=list)
    others: list[tuple[bool, ...]] = field(default_factory=list)

    def decide(self, term: Any) -> bool:
        if len(self.taken) < len(self.given):
            way = self.given[len(self.taken)]
        else:
            possible = [one for one in (True, False) if self._possible(term if one else z3.Not(term))]
            way = possible[0]
            if len(possible) == 2:
                self.others.append((*self.taken, False))
        self.taken.append(way)
        self.conditions.append(term if way else z3.Not(term))
        return way

    def _possible(self, term: Any) -> bool:
        return _check(*self.assumptions, *self.conditions, term)[0] == z3.sat


def outcomes(function: Callable[[], Any], *assumptions: Any) -> list[tuple[Any, Any]]:
    """Every outcome of the function under the assumptions, and when it is the one: pairs of condition and outcome."""
    seen.clear()
    waiting: list[tuple[bool, ...]] = [()]
    found = []
    while waiting:
        path = _Path(assumptions, waiting.pop())
        _paths.append(path)
        try:
            outcome = function()
        finally:
            _paths.pop()
        waiting += path.others
        found.append((z3.And(*path.conditions), outcome))
    return found


def value(function: Callable[[], Any], *assumptions: Any) -> Any:
    """The outcome of a function that gives a number or a truth, as one z3 term."""
    *rest, (_, last) = outcomes(function, *assumptions)
    term = _plain(last)
    for condition, outcome in rest:
        term = z3.If(condition, _plain(outcome), term)
    return term


def _plain(outcome: Any) -> Any:
    outcome = outcome.item() if hasattr(outcome, "item") else outcome
    if isinstance(outcome, Truth):
        return outcome.term
    return z3.BoolVal(outcome) if isinstance(outcome, bool) else _term(outcome)


def _check(*terms: Any) -> tuple[Any, z3.Solver]:
    goal = z3.Goal()
    goal.add(*terms)
    if any(z3.Probe(kind)(goal) for kind in ("is-qfbv", "is-qffpbv")):
        # For machine words alone this order is often a thousand times faster than what z3 chooses, and seldom slower.
        stages = ("simplify", "fpa2bv", "propagate-values", "simplify", "solve-eqs", "bit-blast", "sat")
        quick = z3.Then(*stages).solver()
        quick.set("timeout", QUICK_MS)
        quick.add(*terms)
        answer = quick.check()
        if answer != z3.unknown:
            return answer, quick
    solver = z3.Solver()
    solver.set("timeout", TIMEOUT_MS)
    solver.add(*terms)
    return solver.check(), solver


def prove(claim: Any, *assumptions: Any) -> None:
    """Assert that no values make the assumptions true and the claim false."""
    answer, solver = _check(*assumptions, z3.Not(claim))
    if answer == z3.unsat:
        return
    raise AssertionError(f"{answer}: {solver.model() if answer == z3.sat else solver.reason_unknown()}")


def refute(claim: Any, *assumptions: Any) -> None:
    """Assert that some values make the assumptions true and the claim false: the control of a proof."""
    answer, _ = _check(*assumptions, z3.Not(claim))
    assert answer == z3.sat, f"{answer}: a wrong claim was not refuted, so the proof beside it shows nothing"


def signed_range(bits: int) -> tuple[int, int]:
    """Least and greatest value of two's complement, written without the code under test."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
