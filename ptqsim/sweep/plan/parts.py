"""A point over many images is done in parts, so that it keeps many workers busy and loses little with one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ptqsim.common import fingerprint
from ptqsim.ptq.evaluation.difference import Mean
from ptqsim.sweep.work.task import Outcome

PART: Final = 1000
"""Images of a part.  Logits are digested part by part, so that it is of the definition of a result."""


def part_key(key: str, number: int) -> str:
    """Under which a part of a point is kept."""
    return f"{key}.{number}"


def ranges(images: int) -> Iterator[tuple[int, int]]:
    """First image of every part, and how many it has."""
    for first in range(0, images, PART):
        yield first, min(PART, images - first)


def merged(key: str, images: int, parts: Sequence[Outcome]) -> Outcome:
    """Outcome of a point from its parts: that of the first part that is not done, or their sum.

    Parameters
    ----------
    key : str
        Of the point.
    images : int
        Of the point.
    parts : sequence of Outcome
        In their order.
    """
    if len(parts) == 1:
        return parts[0]
    seconds = sum(part.seconds for part in parts)
    bad = next((part for part in parts if part.status != "done"), None)
    if bad is not None:
        return Outcome(key, bad.status, error=bad.error, seconds=seconds, host=bad.host, process=bad.process)
    counts = [count for _, count in ranges(images)]
    values = [part.values for part in parts]
    correct = sum(round(found["top1"] * count / 100) for found, count in zip(values, counts, strict=True))
    nats = sum(found["cross_entropy"] * count for found, count in zip(values, counts, strict=True))
    digests = "".join(found["logits_sha256"] for found in values)
    together: dict[str, Any] = {
        "top1": 100 * correct / images,
        "cross_entropy": nats / images,
        **_divergence(values, counts),
        "logits_sha256": fingerprint.text(digests),
    }
    if "observed" in values[0]:
        together["observed"] = _widest([found["observed"] for found in values])
    return Outcome(key, "done", together, seconds=seconds, host=parts[-1].host, process=parts[-1].process)


def _divergence(values: Sequence[Mapping[str, Any]], counts: Sequence[int]) -> dict[str, float | None]:
    """Divergence from the float network, which is None where that of a part is, and agreement of all images."""
    agreeing = sum(round(found["agreement"] * count / 100) for found, count in zip(values, counts, strict=True))
    together: dict[str, float | None] = {"kl": None, "kl_standard_error": None}
    if all(found["kl"] is not None for found in values):
        # one image alone has no standard error, and it isn't asked for
        means = [Mean(found["kl"], found["kl_standard_error"] or 0.0) for found in values]
        merged = Mean.merged(means, counts)
        together = {"kl": merged.value, "kl_standard_error": merged.standard_error}
    return together | {"agreement": 100 * agreeing / sum(counts)}


def _widest(observed: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {layer: max(found[layer] for found in observed) for layer in observed[0]}
