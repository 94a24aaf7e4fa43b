"""Options that are chosen by name."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Self

from ptqsim.errors import unknown_name


class Choice(StrEnum):
    """A fixed set of names. A member is its name, also when printed inside something else."""

    @classmethod
    def of(cls, name: str) -> Self:
        """The member of that name.

        Raises
        ------
        ValueError
            If there is none; the message lists the legal names and suggests the nearest.
        """
        if type(name) is cls:
            return name
        names = [member.value for member in cls]
        if name not in names:
            what = re.sub(r"(?<!^)([A-Z])", r" \1", cls.__name__).lower()
            raise unknown_name(what, name, names)
        return cls(name)

    def __repr__(self) -> str:
        return repr(self.value)
