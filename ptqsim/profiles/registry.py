"""Profiles by name."""

from __future__ import annotations

from ptqsim.errors import unknown_name
from ptqsim.profiles import libraries, processors
from ptqsim.profiles.profile import Profile

PROFILES: dict[str, Profile] = {
    value.name: value
    for module in (processors, libraries)
    for value in vars(module).values()
    if isinstance(value, Profile)
}
"""Every profile, those of processors first."""


def named(name: str) -> Profile:
    """The profile of that name.

    Raises
    ------
    TypeError
        If `name` is no string.
    ValueError
        If there is none; the message suggests the nearest.
    """
    if name not in PROFILES:
        raise unknown_name("profile", name, PROFILES)
    return PROFILES[name]
