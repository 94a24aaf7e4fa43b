"""Engines by name."""

from __future__ import annotations

from typing import Final

from ptqsim.errors import unknown_name
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.simulation.cxxrtl import compile_modules
from ptqsim.rtl.simulation.matmul import Simulated
from ptqsim.rtl.simulation.others import OTHERS, BenchModule

CXXRTL: Final = "cxxrtl"
ENGINES: Final = (CXXRTL, *OTHERS)


def build(module: Module, engine: str = CXXRTL) -> Simulated:
    """A module that can be called.

    Parameters
    ----------
    module : Module
        The module to build.
    engine : str, optional
        "cxxrtl" (Yosys and a C++ compiler), "iverilog" or "verilator".

    Raises
    ------
    ptqsim.rtl.MissingToolError
        If the engine is not installed.
    ValueError
        If there is no engine of that name.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    return compile_modules([module])[0] if engine == CXXRTL else BenchModule(module, engine)
