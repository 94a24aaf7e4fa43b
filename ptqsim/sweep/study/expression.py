"""Conditions between the axes of a study: a few operators on names and literals, and nothing else of Python.

``w_bits == a_bits``, ``overflow in ["wrap", "saturate"] and acc_bits <= 24``.
An ``exact`` accumulator has no width: ``acc_bits`` is then the word ``"exact"``, which is wider than every number.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ptqsim.errors import unknown_name

Value = Any  # a number, a text, None, or a list of these
Values = Mapping[str, Value]
Evaluate = Callable[[Values], Value]

_ORDERED: Final[dict[type[ast.cmpop], Callable[[Value, Value], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EQUAL: Final[dict[type[ast.cmpop], Callable[[Value, Value], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda x, y: x in y,
    ast.NotIn: lambda x, y: x not in y,
}
_ARITHMETIC: Final[dict[type[ast.operator], Callable[[Value, Value], Value]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_LEGAL: Final = "legal are names of axes, numbers, texts, lists, == != < <= > >= in, + - * // %, and, or, not"
_MAX_LENGTH: Final = 500


@dataclass(frozen=True)
class Condition:
    """A condition that was read from its text.

    Attributes
    ----------
    text : str
    names : frozenset of str
        The axes that it is about.
    holds : callable
        From a mapping with at least these axes to a bool.
    """

    text: str
    names: frozenset[str]
    holds: Callable[[Values], bool]


def parse(text: str, legal: Iterable[str]) -> Condition:
    """Read a condition.

    Parameters
    ----------
    text : str
    legal : iterable of str
        Names that it may use.

    Raises
    ------
    ValueError
        If it is no expression, or has a name or an operator that is not legal; the nearest name is suggested.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"a condition of {len(text)} characters; legal are up to {_MAX_LENGTH}: write several")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ValueError(f"condition {text!r} can't be read ({reason}); {_LEGAL}: try w_bits == a_bits") from None
    names: set[str] = set()
    evaluate = _compile(tree, frozenset(legal), names, text)
    return Condition(text, frozenset(names), lambda values: bool(evaluate(values)))


def _compile(node: ast.expr, legal: frozenset[str], names: set[str], text: str) -> Evaluate:
    """A function of the axes' values; built once, called once per point."""

    def below(child: ast.expr) -> Evaluate:
        return _compile(child, legal, names, text)

    match node:
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return lambda values: value
        case ast.Name(id=name):
            if name not in legal:
                raise unknown_name("axis", name, sorted(legal))
            names.add(name)
            return operator.itemgetter(name)
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            made = [below(item) for item in items]
            return lambda values: [item(values) for item in made]
        case ast.BoolOp(op=ast.And(), values=parts):
            every = [below(part) for part in parts]
            return lambda values: all(part(values) for part in every)
        case ast.BoolOp(values=parts):
            some = [below(part) for part in parts]
            return lambda values: any(part(values) for part in some)
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            negated = below(inner)
            return lambda values: not negated(values)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            number = below(inner)
            return lambda values: -number(values)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            compute, one, other = _ARITHMETIC[type(op)], below(left), below(right)
            return lambda values: compute(one(values), other(values))
        case ast.Compare(left=first, ops=ops, comparators=rest) if all(type(op) in _ORDERED | _EQUAL for op in ops):
            return _chain([below(first), *map(below, rest)], ops, text)
    raise ValueError(f"condition {text!r} has {ast.unparse(node)!r}, which can't be used; {_LEGAL}")


def _chain(terms: list[Evaluate], ops: list[ast.cmpop], text: str) -> Evaluate:
    def compare(op: type[ast.cmpop], x: Value, y: Value) -> bool:
        if op in _EQUAL:
            return _EQUAL[op](x, y)
        try:
            return _ORDERED[op](_sized(x), _sized(y))
        except TypeError:
            raise ValueError(f"condition {text!r} compares {x!r} with {y!r}, which have no order") from None

    kinds = [type(op) for op in ops]
    if len(kinds) == 1:
        (kind,), (one, other) = kinds, terms
        return lambda values: compare(kind, one(values), other(values))
    return lambda values: all(
        compare(kind, one(values), other(values)) for kind, one, other in zip(kinds, terms, terms[1:], strict=False)
    )


def _sized(value: Value) -> Value:
    return float("inf") if value == "exact" else value
