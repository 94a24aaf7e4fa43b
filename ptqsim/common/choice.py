"""Options that are chosen by name."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Self

from ptqsim.errors import unknown_name


class Choice(StrEnum):
    """A fixed set of names. A member is its name, also when printed inside something else."""

    @classmethod
    def of(cls, name: str, what: str | None = None) -> Self:
        """The member of that name.

        Parameters
        ----------
        name : str
            A member, or its name.
        what : str, optional
            What messages call it; by default the name of the class in words.

        Raises
        ------
        TypeError
            If `name` is no string.
        ValueError
            If there is no such member; the message lists the legal names and suggests the nearest.
        """
        if type(name) is cls:
            return name
        given: object = name
        names = [member.value for member in cls]
        if not isinstance(given, str) or given not in names:
            raise unknown_name(what or re.sub(r"(?<!^)([A-Z])", r" \1", cls.__name__).lower(), name, names)
        return cls(str(name))

    def __repr__(self) -> str:
        return repr(self.value)
