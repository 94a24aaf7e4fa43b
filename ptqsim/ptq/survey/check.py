"""The check of many architectures: each is built and wrapped, and one of every kind is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ptqsim.common.progress import Progress, silent
from ptqsim.ptq.survey.families import entry_points
from ptqsim.ptq.survey.structure import Structure, products, structure
from ptqsim.ptq.survey.trial import trial
from ptqsim.ptq.survey.verdict import Verdict


def check_models(
    pattern: str = "*", *, known: Mapping[str, Verdict] | None = None, progress: Progress = silent
) -> Iterator[dict[str, Verdict]]:
    """Check architectures of timm.

    Every architecture is built on torch's meta device at its own size.  Those whose modules have the same classes and
    options differ in size only.  Of these the products of the smallest are counted by a watch, and its wrapped copy is
    run on the meta device, where each product has to be an operation
    (:func:`ptqsim.ptq.survey.structure.products`).  Then it is built with random weights, few blocks and a small image,
    calibrated, and run in integers (:func:`ptqsim.ptq.survey.trial.trial`).  Its fault is theirs.

    Parameters
    ----------
    pattern : str
        Of names or families; ``*`` are all that are not plain convolutional networks.
    known : mapping of str to Verdict, optional
        Verdicts of an earlier call, which are not found anew.
    progress : callable
        Called with the steps done, all steps and the architecture; a step is one built, or one run.

    Yields
    ------
    dict of str to Verdict
        Verdicts on architectures of one kind, as they come: those that are refused by their structure, then kinds of
        many architectures first.
    """
    known = known or {}
    families = {name: family for name, family in entry_points(pattern).items() if name not in known}
    found: dict[str, Structure] = {}
    for done, name in enumerate(families):
        progress(done, 2 * len(families), name)
        found[name] = structure(name)
    kinds: dict[frozenset[str], list[str]] = {}
    for name, seen in found.items():
        if seen.refused:
            yield {name: Verdict(families[name], refused=seen.refused)}
        else:
            kinds.setdefault(seen.signature, []).append(name)
    done = 2 * len(families) - sum(map(len, kinds.values()))
    smallest_of = {min(names, key=lambda name: found[name].parameters): names for names in kinds.values()}
    for smallest, names in sorted(smallest_of.items(), key=lambda kind: (-len(kind[1]), found[kind[0]].parameters)):
        progress(done, 2 * len(families), smallest)
        count, fault = products(smallest)
        fault = fault or trial(smallest)
        done += len(names)
        yield {name: Verdict(families[name], found[name].parameters, smallest, count, fault) for name in names}
    progress(2 * len(families), 2 * len(families), "")
