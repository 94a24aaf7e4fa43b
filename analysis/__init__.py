"""One module per figure or table of a paper, and what draws, writes and caches them (needs the extra ``analysis``).

Imports within the package are relative: it is ``analysis`` in the repository and ``ptqsim.analysis`` in a wheel.
"""

from pathlib import Path
from typing import Final

PACKAGE: Final = __name__
ROOT: Final = Path(__file__).parent
