"""The plan of a study: its points, the keys they are stored under, and the tasks that workers get."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import ptqsim
from ptqsim.common import fingerprint, installed
from ptqsim.sweep.plan.parts import PART, part_key, ranges
from ptqsim.sweep.study.definition import MethodChoice, Study
from ptqsim.sweep.study.expand import expand
from ptqsim.sweep.study.point import Calibration, Datapath, Point, columns_of, identity, plain
from ptqsim.sweep.work.content import CachePlace, ContentCache
from ptqsim.sweep.work.task import Outcome, WorkTask

MEASURE: Final = "ptqsim.sweep.work.measure:measure"
_KEY: Final = 32  # hexadecimal digits of a key
_RECORDED: Final = ("ptqsim", "numpy", "numba", "torch", "timm", "distributed", "python")


@dataclass
class Plan:
    """A study with its sources known by content.

    Attributes
    ----------
    study : Study
    sources : mapping
        By what the study calls the model: name, sha256, weights, data, calibration_data, validation_data, as in
        `ptqsim.sweep.work.sources.StudySource`.
    cache : ContentCache
        The client's.
    code : str
        Of the code that computes.
    work : str
        The function that does the tasks.
    options : mapping
        All options of a method, defaults included, by what the study calls it.
    content : callable
        The fingerprint of images by what the study calls the model, the first of them, their number, and the seed that
        calibration images are drawn by, None for those of the validation split.
    """

    study: Study
    sources: Mapping[str, Mapping[str, Any]]
    cache: ContentCache
    code: str
    work: str = MEASURE
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    content: Callable[[str, int, int, int | None], str] = lambda model, first, images, seed: ""

    def __post_init__(self) -> None:
        self.points = expand(self.study)
        self.methods: dict[str, MethodChoice] = {choice.called: choice for choice in self.study.axes.method}
        self._calibration_keys: dict[Calibration, str] = {}
        self._datapaths: dict[Datapath, str] = {}
        self._contents: dict[tuple[str, int, int, int | None], str] = {}
        self._place = asdict(CachePlace(str(self.cache.folder.resolve()), self.cache.token()))

    def calibration_key(self, calibration: Calibration) -> str:
        """Under which a calibration is stored."""
        if calibration not in self._calibration_keys:
            source, method = self.sources[calibration.model], self.methods[calibration.method]
            content = {
                **{name: source[name] for name in ("sha256", "calibration_data")},
                "name": _network(source),
                "content": self._content(calibration.model, 0, calibration.images, calibration.seed),
                "method": method.name,
                "variant": method.variant,
                "options": self.options.get(calibration.method, method.options),
                **{name: value for name, value in identity(calibration).items() if name not in ("model", "method")},
                "code": self.code,
            }
            self._calibration_keys[calibration] = fingerprint.value(content)[:_KEY]
        return self._calibration_keys[calibration]

    def key(self, point: Point) -> str:
        """Under which a point is stored."""
        datapath = self._datapaths.get(point.datapath)
        if datapath is None:
            datapath = self._datapaths[point.datapath] = json.dumps(plain(point.datapath), sort_keys=True)
        source = self.sources[point.model]
        calibrated = "float" if point.calibration is None else self.calibration_key(point.calibration)
        content = (
            _network(source),
            source["sha256"],
            source["validation_data"],
            self._content(point.model, 0, point.images, None),
            calibrated,
            datapath,
            f"{point.images} by {PART}",
            self.code,
        )
        return fingerprint.text("\0".join(content))[:_KEY]

    def calibrations(self) -> list[Calibration]:
        """Calibrations that the points of the grid share, each once."""
        return list(dict.fromkeys(point.calibration for point in self.points if point.calibration is not None))

    def file(self, calibration: Calibration) -> str:
        """The file of the cache that holds a calibrated network."""
        return f"calibrated-{self.calibration_key(calibration)}.safetensors"

    def calibration_task(self, calibration: Calibration) -> WorkTask:
        """The work of a calibration."""
        method = self.methods[calibration.method]
        payload = {
            **self._common(calibration.model),
            "method": method.name,
            "variant": method.variant,
            "options": method.options,
            **{name: value for name, value in plain(calibration).items() if name not in ("model", "method")},
            "content": self._content(calibration.model, 0, calibration.images, calibration.seed),
            "file": self.file(calibration),
            "base": self.file(calibration.base),
        }
        return WorkTask(self.calibration_key(calibration), "calibration", self.work, payload)

    def point_tasks(self, point: Point) -> list[WorkTask]:
        """The work of a point whose calibration is done: one task, or one for each of its parts."""
        payload = {
            **self._common(point.model),
            "file": None if point.calibration is None else self.file(point.calibration),
            "datapath": plain(point.datapath),
        }
        key, several = self.key(point), point.images > PART
        tasks = []
        for number, (first, images) in enumerate(ranges(point.images)):
            content = self._content(point.model, first, images, None)
            part = payload | {"first": first, "images": images, "content": content}
            tasks.append(WorkTask(part_key(key, number) if several else key, "point", self.work, part))
        return tasks

    def _content(self, model: str, first: int, images: int, seed: int | None) -> str:
        about = model, first, images, seed
        if about not in self._contents:
            self._contents[about] = self.content(*about)
        return self._contents[about]

    def _common(self, model: str) -> dict[str, Any]:
        return {"code": self.code, "cache": self._place, "source": dict(self.sources[model])}

    def calibration_row(self, calibration: Calibration, outcome: Outcome) -> dict[str, Any]:
        """The row of a calibration that came back."""
        return {
            "key": outcome.key,
            **columns_of(plain(calibration)),
            **{name: outcome.values.get(name) for name in ("weight_bits", "layers")},
            **result_columns(outcome),
        }

    def point_row(self, point: Point, outcome: Outcome) -> dict[str, Any]:
        """The row of a point that came back."""
        calibration = point.calibration
        datapath = plain(point.datapath)
        return {
            "key": outcome.key,
            "calibration": None if calibration is None else self.calibration_key(calibration),
            **({"model": point.model} if calibration is None else columns_of(plain(calibration))),
            **datapath,
            "widths": datapath["widths"] or None,
            "evaluation_images": point.images,
            **outcome.values,
            **result_columns(outcome),
        }

    def provenance(self, command: str) -> dict[str, Any]:
        """Provenance of the rows of this plan, beside what stands in their columns."""
        return {
            "study": self.study.name,
            "command": command,
            "code": self.code,
            "sources": {name: dict(source) for name, source in self.sources.items()},
            "methods": {
                name: {"name": choice.name, "variant": choice.variant, "options": dict(self.options.get(name, {}))}
                for name, choice in self.methods.items()
            },
            "versions": installed.versions(_RECORDED),
            "machine": platform.machine(),
            "ptqsim": ptqsim.__version__,
        }


def result_columns(outcome: Outcome) -> dict[str, Any]:
    """Provenance columns of every row."""
    return {name: getattr(outcome, name) for name in ("status", "error", "seconds", "host", "process")}


def _network(source: Mapping[str, Any]) -> str:
    """The name of a source's network, with the options that it was made with if there are any."""
    options = source["options"]
    return f"{source['name']} {json.dumps(options, sort_keys=True)}" if options else str(source["name"])
