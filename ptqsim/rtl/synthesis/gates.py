"""Gate counts of one module."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gates:
    """Gate counts of one module, and the tools that counted.

    Parameters
    ----------
    module : str
        Name of the module.
    cells, flip_flops : int
        Number of cells, flip-flops among them.
    transistors : int or None
        CMOS estimate of Yosys; None where a liberty file was used.
    depth : int or None
        Gates on the longest path between registers or ports; None where a liberty file was used.
    area, delay : float or None
        In the units of the liberty file (delay in ps); None without one. A Yosys that does not show what its ABC writes
        tells no delay either.
    tool, flow : str
        Version of Yosys and the commands.
    liberty : str or None
        Name and SHA-256 of the liberty file.
    """

    module: str
    cells: int
    flip_flops: int
    transistors: int | None
    depth: int | None
    area: float | None
    delay: float | None
    tool: str
    flow: str
    liberty: str | None
