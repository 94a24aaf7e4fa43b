"""Entry of the console script and of ``python -m ptqsim.cli``: it has to work where typer and rich are missing."""

from __future__ import annotations

import sys

from ptqsim.cli.extras import missing_extra


def main() -> int:
    """Run the command line and return its exit status."""
    try:
        from ptqsim.cli.app import main as run
    except ModuleNotFoundError as error:
        line = missing_extra(error)
        if line is None:
            raise
        sys.stderr.write(f"ptqsim: {line}\n")
        return 2
    return run()


if __name__ == "__main__":
    sys.exit(main())
