"""Figures and tables, one module each, and the framework that draws, writes and caches them (extra ``analysis``).

Imports within the package are relative: it is ``analysis`` in the repository and ``ptqsim.analysis`` in a wheel.
"""

from pathlib import Path
from typing import Final

PACKAGE: Final = __name__
ROOT: Final = Path(__file__).parent
