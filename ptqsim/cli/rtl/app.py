"""Hardware from the specification that feeds the simulator: generate, simulate, prove and synthesize SystemVerilog.

    ptqsim rtl generate --shift 4 --depth 384 --columns 8 -o gelu

writes a dot-product unit for twin GELU codes and a weight-stationary tile of them, a file per module, each with its
integer formula on top. *ptqsim rtl simulate* runs them beside the simulator and compares every accumulator, with the
codes of a layer of a calibrated file if one is given; *ptqsim rtl prove* proves what vectors cannot show, and *ptqsim
rtl synthesize* counts gates. Each has its own --help.
"""

from __future__ import annotations

import typer

from ptqsim.cli.framework.app import Run
from ptqsim.cli.rtl.generate import generate
from ptqsim.cli.rtl.prove import prove
from ptqsim.cli.rtl.simulate import simulate
from ptqsim.cli.rtl.synthesize import synthesize

rtl = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="markdown")
for _command in (generate, simulate, prove, synthesize):
    rtl.command(_command.__name__)(_command)


@rtl.callback()
def _named(ctx: typer.Context) -> None:
    """Let messages begin with the whole command."""
    run = ctx.find_object(Run)
    if run is not None and ctx.invoked_subcommand:
        run.command = f"ptqsim rtl {ctx.invoked_subcommand}"
