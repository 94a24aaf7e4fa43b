"""COCO's folders: images, and annotations in JSON beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

from ptqsim.common import fingerprint
from ptqsim.ptq.datasets.detection.annotations import checked_objects, read_annotations
from ptqsim.ptq.datasets.detection.coco import GroundTruth
from ptqsim.ptq.files.images import read_image
from ptqsim.ptq.network.detr.detector import Detector

_NAMES: Final = {
    "validation": ("val2017", "val"),
    "calibration": ("train2017", "train"),
    "train": ("train2017", "train"),
}


class CocoFolder:
    """One split of a data set in COCO's layout; labels are the images' places in the annotation file.

    ``FOLDER/val2017`` has the images of ``FOLDER/annotations/instances_val2017.json``, and ``train2017`` likewise
    (``val`` and ``train`` are read too).  Calibration takes images from ``train2017``, or from ``val2017`` where there
    is nothing else, and needs no boxes; those of the validation split are checked.

    Parameters
    ----------
    folder : Path
    model : Detector
        The model whose preprocessing is used, and whose classes are the category ids.
    split : {"train", "calibration", "validation"}

    Raises
    ------
    FileNotFoundError
        Where the folder has no annotations or no images.
    ValueError
        For annotations that can't be read, contradict themselves, or don't match images or model.
    """

    def __init__(self, folder: Path, model: Detector, split: str) -> None:
        self._images_folder, path = _find(folder, split)
        self._truth = read_annotations(path)
        self._checked = split == "validation"
        if self._checked:
            self._truth = checked_objects(self._truth, path)
        ids = [int(category["id"]) for category in self._truth.categories]
        if unknown := [number for number in ids if not 0 <= number < model.num_classes]:
            raise ValueError(
                f"{path} has category {unknown[0]}, but the model knows classes 0 to {model.num_classes - 1}: "
                "choose data with the classes that the model was trained on"
            )
        missing = [e["file_name"] for e in self._truth.images if not (self._images_folder / e["file_name"]).is_file()]
        if missing:
            raise ValueError(
                f"{path} lists {len(self._truth.images)} images, and {len(missing)} of them are not in "
                f"{self._images_folder}, the first is {missing[0]}: the annotations are of other images, or some are "
                "missing"
            )
        self._preprocessing = model.preprocessing
        self._path = path
        self.name = f"{folder.name}/{self._images_folder.name}"
        self.place = str(self._images_folder)

    @property
    def fingerprint(self) -> str:
        return self.fingerprint_of(range(len(self)))

    def fingerprint_of(self, indices: Sequence[int]) -> str:
        names = [str(self._truth.images[int(i)]["file_name"]) for i in indices]
        images = fingerprint.files(self._images_folder, names)
        return fingerprint.text(fingerprint.file(self._path) + images)[:16]

    def __len__(self) -> int:
        return len(self._truth.images)

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        images = [self._image(int(i)) for i in indices]
        return self._preprocessing.batch(images), torch.tensor(list(indices), dtype=torch.int64)

    def ground_truth(self, indices: Sequence[int]) -> GroundTruth:
        """The annotations of these images."""
        images = [self._truth.images[int(i)] for i in indices]
        chosen = {entry["id"] for entry in images}
        annotations = [entry for entry in self._truth.annotations if entry["image_id"] in chosen]
        found = GroundTruth(images, annotations, self._truth.categories)
        return found if self._checked else checked_objects(found, self._path)

    def _image(self, index: int) -> torch.Tensor:
        entry = self._truth.images[index]
        path = self._images_folder / entry["file_name"]
        image = read_image(path)
        if image.size != (entry["width"], entry["height"]):
            raise ValueError(
                f"{path} has {image.size[0]}x{image.size[1]} pixels, but {self._path} says "
                f"{entry['width']}x{entry['height']}: the annotations are of other images"
            )
        return self._preprocessing.tensor(image)


def _find(folder: Path, split: str) -> tuple[Path, Path]:
    """The folder of images and the annotation file of a split."""
    names = _NAMES[split] + (_NAMES["validation"] if split == "calibration" else ())
    for name in names:
        path = folder / "annotations" / f"instances_{name}.json"
        if path.is_file():
            if not (folder / name).is_dir():
                raise FileNotFoundError(f"{path} is there, but not its images, {folder / name}: unpack them")
            return folder / name, path
    raise FileNotFoundError(
        f"{folder} has no annotations/instances_{names[0]}.json: name a folder in COCO's layout, with annotations/ and "
        f"{names[0]}/, or 'digits' for the bundled detection scenes"
    )
