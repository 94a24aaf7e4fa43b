"""Every bug planted in a block is caught by the comparison of its edges."""

from __future__ import annotations

from functools import cache

import pytest

from ptqsim.errors import ToolError
from ptqsim.rtl import EncoderBlock
from ptqsim.rtl.encoder.run import expected_edges, run_block
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.simulation.engines import build
from tests.rtl.encoder.cases import pixels, plan
from tests.rtl.encoder.mutants import MODULES, PROGRAMS, planted
from tests.rtl.needs import need


@cache
def block() -> EncoderBlock:
    return EncoderBlock(plan(), columns=4)


def differs(module: Module) -> bool:
    """True if a value of an edge differs, is unknown, or the block stops."""
    wanted = expected_edges(block(), pixels(2))
    try:
        found, _ = run_block(build(module, "iverilog"), block(), wanted[block().part.source])
    except ToolError:  # it does not compile, which is a defect of the test
        raise
    except (RuntimeError, ValueError):
        return True
    return any((found[name] != wanted[name]).any() for name in wanted)


def test_no_false_alarm() -> None:
    need("iverilog")
    assert not differs(block().module())


@pytest.mark.parametrize("name", [*PROGRAMS, *MODULES])
def test_planted_bug_is_caught(name: str) -> None:
    need("iverilog")
    assert differs(planted(block(), name))
