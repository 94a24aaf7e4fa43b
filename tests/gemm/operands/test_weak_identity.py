"""The cache by object: equal objects apart, and nothing kept of the dead."""

from __future__ import annotations

import gc

from ptqsim.gemm.operands.weak_identity import WeakIdentityDict


class Equal:
    """Every one equals every other, and none can be hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


def test_entries_belong_to_objects() -> None:
    entries: WeakIdentityDict[Equal, str] = WeakIdentityDict()
    first, second = Equal(), Equal()
    entries[first] = "first"
    assert (entries.get(first), entries.get(second)) == ("first", None)
    entries[second] = "second"
    entries[first] = "again"
    assert (entries.get(first), entries.get(second), len(entries)) == ("again", "second", 2)
    del first
    gc.collect()
    assert (entries.get(second), len(entries)) == ("second", 1)
