"""Entry of the console script and of ``python -m ptqsim.cli``: it has to work where typer and rich are missing."""

from __future__ import annotations

import os
import sys

from ptqsim.cli.framework import streams
from ptqsim.cli.framework.extras import missing_extra

# Read by the OpenMP library when PyTorch loads it.  Its threads would otherwise spin while they wait, and where other
# programs share the cores that makes small networks ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Figures are drawn into files, in a style of their own. A backend of a notebook, or settings for other figures, would
# be loaded by matplotlib all the same, and may be missing or invalid here.
os.environ["MPLBACKEND"] = "agg"
os.environ.pop("MATPLOTLIBRC", None)


def main() -> int:
    """Run the command line and return its exit status."""
    streams.prepare()
    try:
        from ptqsim.cli.framework.app import main as run
    except ModuleNotFoundError as error:
        line = missing_extra(error)
        if line is None:
            raise
        sys.stderr.write(f"ptqsim: {line}\n")
        return 2
    return run()


if __name__ == "__main__":
    sys.exit(main())
