"""``python -m analysis ptq4vit.fig5``: the same as ``ptqsim figures ptq4vit.fig5``."""

from __future__ import annotations

import sys

from ptqsim.cli.framework.app import main

if __name__ == "__main__":
    sys.exit(main(["figures", *sys.argv[1:]]))
