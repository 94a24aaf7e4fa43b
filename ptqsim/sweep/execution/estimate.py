"""Time estimate of a study: missing work times its measured duration, from earlier runs or a short probe."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from ptqsim.sweep.plan.planning import Plan
from ptqsim.sweep.plan.questions import questions
from ptqsim.sweep.results.store import ResultStore
from ptqsim.sweep.study.point import INTEGER, INTEGER_ONLY, UNITS, Calibration, Datapath, Point
from ptqsim.sweep.work.content import ContentCache
from ptqsim.sweep.work.task import Outcome, perform

PROBES: Final = 5
"""Points that a search is taken to need: a few widths below what was seen, and the halves between."""
_PROBE_IMAGES: Final = 4
Kind = tuple[str, str]  # model, and "exact", "narrow", a mode, or a method


@dataclass(frozen=True)
class Estimate:
    """Work to be done, and an estimate of its duration.

    Attributes
    ----------
    points, calibrations : int
        Of the grid.
    searches, search_points : int
        Of the questions, and about how many points these need.
    missing_points, missing_calibrations : int
        What the store lacks; of points with those of questions.
    seconds : float
        Of one process.
    workers : int
    source : str
        Where the rates are from.
    """

    points: int
    calibrations: int
    searches: int
    search_points: int
    missing_points: int
    missing_calibrations: int
    seconds: float
    workers: int
    source: str


def estimated(plan: Plan, place: Path, workers: int) -> Estimate:
    """Count what is missing and estimate its time."""
    done: dict[str, str] = {}
    calibrated: dict[str, str] = {}
    rates: dict[Kind, float] = {}
    if place.is_file():
        with ResultStore(place, write=False) as store:
            done, calibrated = store.statuses("points"), store.statuses("calibrations")
            rates = measured_rates(store)
    searches = _searches(plan)
    missing = [point for point in plan.points if plan.key(point) not in done]
    lacking = [c for c in plan.calibrations() if plan.calibration_key(c) not in calibrated]
    images: Counter[Kind] = Counter()
    for point in missing:
        images[point.model, kind_of(point.datapath)] += point.images
    asked = 0
    for exact, count in searches.items():
        if plan.key(exact) in done:  # most likely its searches are, too
            continue
        asked += 1 + count * PROBES
        images[exact.model, "exact"] += exact.images
        images[exact.model, "narrow"] += exact.images * count * PROBES
        if exact.calibration is not None and plan.calibration_key(exact.calibration) not in calibrated:
            lacking.append(exact.calibration)
    lacking = list(dict.fromkeys(lacking))
    for calibration in lacking:
        images[calibration.model, calibration.method] += calibration.images
    unknown = [kind for kind in images if kind not in rates]
    rates |= probe(plan, unknown)
    return Estimate(
        points=len(plan.points),
        calibrations=len(plan.calibrations()),
        searches=sum(searches.values()),
        search_points=asked,
        missing_points=len(missing) + asked,
        missing_calibrations=len(lacking),
        seconds=sum(rates[kind] * count for kind, count in images.items()),
        workers=workers,
        source="a probe" if unknown else "what was measured before",
    )


def measured_rates(store: ResultStore) -> dict[Kind, float]:
    """Seconds per image of what was done before, the median of each kind."""
    seconds: dict[Kind, list[float]] = defaultdict(list)
    for row in store.rows("points", planned=False):
        if row["status"] == "done":
            kind = _kind(row["mode"], row["acc_bits"] is not None or bool(row["widths"]))
            seconds[row["model"], kind].append(row["seconds"] / row["evaluation_images"])
    for row in store.rows("calibrations", planned=False):
        if row["status"] == "done":
            seconds[row["model"], row["method"]].append(row["seconds"] / row["calibration_images"])
    return {kind: median(found) for kind, found in seconds.items()}


def probe(plan: Plan, kinds: Iterable[Kind]) -> dict[Kind, float]:
    """Seconds per image of work of these kinds, from a few images of each."""
    found: dict[Kind, float] = {}
    wanted: dict[str, list[str]] = defaultdict(list)
    for model, kind in kinds:
        wanted[model].append(kind)
    for model, listed in wanted.items():
        with tempfile.TemporaryDirectory(prefix="ptqsim-probe-") as folder:
            found |= {(model, kind): rate for kind, rate in _probe_model(plan, model, listed, Path(folder)).items()}
    return found


def _probe_model(plan: Plan, model: str, kinds: Iterable[str], folder: Path) -> Mapping[str, float]:
    axes = plan.study.axes
    small = replace(plan, cache=ContentCache(folder))
    if weights := plan.sources[model]["weights"]:  # workers read those that the package does not have from the cache
        small.cache.path(weights).symlink_to(plan.cache.path(weights).resolve())
    rates: dict[str, float] = {}
    methods = [kind for kind in kinds if kind in plan.methods] or [axes.method[0].called]
    made: list[Calibration] = []
    for method in methods:
        fields: list[Any] = [model, method, axes.w_bits[0], axes.a_bits[0], axes.seed[0], _PROBE_IMAGES]
        fields += [axes.w_granularity[0], axes.a_symmetric[0], axes.formats[0]]
        calibration = Calibration(*fields)
        rates[method] = _calibrated(small, calibration).seconds / _PROBE_IMAGES
        made.append(calibration)
    for kind in kinds:
        if kind in plan.methods:
            continue
        datapath, calibration = Datapath(alignment="product"), made[0]
        if kind == "narrow":
            datapath = Datapath("integer", 24, "saturate", "sequential", "product")
        elif kind == INTEGER_ONLY:
            datapath = Datapath(kind, alignment="product")
            units = {name: getattr(axes, name)[0] for name in UNITS}
            calibration = replace(made[0], **units)
            _calibrated(small, calibration)
        elif kind != "exact":
            datapath = Datapath(kind)
        point = Point(model, None if kind == "float" else calibration, datapath, _PROBE_IMAGES)
        # the first one compiles, loads and fills caches
        rates[kind] = min(perform(small.point_tasks(point)[0]).seconds for _ in range(2)) / _PROBE_IMAGES
    return rates


def _calibrated(plan: Plan, calibration: Calibration) -> Outcome:
    outcome = perform(plan.calibration_task(calibration))
    if outcome.status != "done":
        told = str(outcome.error or outcome.status).splitlines()[0]
        raise ValueError(f"a calibration of {calibration.model} by {calibration.method} failed: {told}")
    return outcome


def kind_of(datapath: Datapath) -> str:
    """Properties of a point that its time depends on, beside the model and the images."""
    narrow = datapath.acc_bits is not None or bool(datapath.widths)
    return _kind(datapath.mode, narrow)


def _kind(mode: str, narrow: bool) -> str:
    return mode if mode != INTEGER else "narrow" if narrow else "exact"


def _searches(plan: Plan) -> dict[Point, int]:
    """For every exact point that questions begin with how many searches do."""
    found: Counter[Point] = Counter()
    layers: dict[str, int] = {}
    for question in questions(plan.study):
        count = 1
        if question.scope == "layer":
            model = question.calibration.model
            if model not in layers:
                layers[model] = _layer_count(plan.sources[model])
            count = layers[model]
        found[question.at(None)] += count
    return dict(found)


def _layer_count(source: Mapping[str, Any]) -> int:
    from ptqsim import ptq
    from ptqsim.ptq.zoo.models import build

    return len(ptq.QuantizedModel(build(source["name"])).layers)
