"""From a study file to a plan: models and data are loaded once to know them by content."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ptqsim.ptq.calibration.methods import make_method
from ptqsim.ptq.datasets.load import DIGITS
from ptqsim.sweep.plan.planning import Plan
from ptqsim.sweep.study.definition import Study, resolved
from ptqsim.sweep.work.code import code_version
from ptqsim.sweep.work.content import ContentCache
from ptqsim.sweep.work.sources import SourceFiles, StudySource
from ptqsim.sweep.work.task import WorkTask


class OpenStudy:
    """A study, its plan, and the files that workers may ask for.

    Parameters
    ----------
    study : Study
    path : Path
        Of its file; other files are named relative to it.
    cache : Path
        Folder for calibrated networks, and what is sent to workers.

    Raises
    ------
    FileNotFoundError, ValueError
        Where a model or data can't be had, or has fewer images than are asked for.
    """

    def __init__(self, study: Study, path: Path, cache: Path) -> None:
        self._files = SourceFiles(ContentCache(cache))
        self._cache = ContentCache(cache)
        folder = path.resolve().parent
        self._sources: dict[str, StudySource] = {}
        for choice in study.axes.model:
            data = choice.data or study.data
            self._sources[choice.called] = self._files.add(
                choice.name,
                data if data == DIGITS else str(resolved(data, folder)),
                choice.options,
                pretrained=choice.pretrained,
                checkpoint=None if choice.checkpoint is None else resolved(choice.checkpoint, folder),
            )
        self._check_counts(study)
        options = {
            choice.called: asdict(make_method(choice.name, choice.options, choice.variant))  # type: ignore[call-overload]
            for choice in study.axes.method
        }
        sources = {name: asdict(source) for name, source in self._sources.items()}
        self.plan = Plan(study, sources, self._cache, code_version(), options=options, content=self._content)

    def send(self, task: WorkTask, name: str) -> bytes:
        """A file that a worker asked for."""
        if not self._cache.has(name):
            source = StudySource(**task.payload["source"])
            payload = task.payload
            first, seed = payload.get("first", 0), payload.get("seed")
            self._files.pack(source, name, first=first, images=payload["images"], seed=seed, content=payload["content"])
        return self._cache.path(name).read_bytes()

    def _content(self, model: str, first: int, images: int, seed: int | None) -> str:
        return self._files.content(self._sources[model], first, images, seed)

    def _check_counts(self, study: Study) -> None:
        asked = [ask.evaluation_images for ask in study.ask if ask.evaluation_images is not None]
        for name, source in self._sources.items():
            for split, wanted in (
                ("calibration", max(study.axes.calibration_images)),
                ("validation", max(study.axes.evaluation_images + asked)),
            ):
                available = self._files.size(source, split)
                if wanted > available:
                    raise ValueError(
                        f"{wanted} {split} images are asked for, and the data of {name} have {available}: ask for fewer"
                    )
