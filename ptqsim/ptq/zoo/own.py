"""The models that have weights of their own, which come with the package or were fetched."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any, Final

from ptqsim.ptq.zoo.bundled import BUNDLED, BundledModel
from ptqsim.ptq.zoo.fetched import FETCHED, FetchedModel

_BOTH: ChainMap[str, Any] = ChainMap(BUNDLED, FETCHED)

OWN: Final[Mapping[str, BundledModel | FetchedModel]] = _BOTH
"""Models by name."""
