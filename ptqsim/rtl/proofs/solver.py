"""A question to z3."""

from __future__ import annotations

from typing import Any, Final

from ptqsim.rtl import tools

WORD: Final = 96
"""Bits in which nothing of a 16-bit product shifted by 32, with a register of 63 bits, is lost."""


def counterexample(claim: Any, given: list[Any], timeout: float) -> str | None:
    """None if the claim follows; values that break it otherwise."""
    import z3

    solver = z3.Solver()
    solver.set("timeout", int(timeout * 1000))
    solver.add(*given, z3.Not(claim))
    answer = solver.check()
    if answer == z3.unsat:
        return None
    if answer == z3.sat:
        model = solver.model()
        return ", ".join(sorted(f"{name} = {model[name]}" for name in model))
    raise tools.ToolTimeoutError(f"z3 did not decide it within {timeout:g} s")
