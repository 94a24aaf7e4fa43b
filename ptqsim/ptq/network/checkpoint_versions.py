"""Versions of checkpoints, each of which has something that readers of those before do not know."""

from __future__ import annotations

from typing import Final

VERSION: Final = 4
WITH_LATER_FIELDS: Final = 5
WITH_BLOCKS: Final = 6
WITH_ROTATIONS: Final = 7
"""The version of rotations, and of parameters of norms that were learned."""
