"""Annotation files of COCO, read and checked: each error names the file, the entry, and what is wrong with it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ptqsim.ptq.datasets.detection.coco import GroundTruth

_TOLERANCE: Final = 1.0
"""Pixels that a box may stand over: COCO's are outlines of polygons, rounded."""
_FIELDS: Final = {
    "images": {"id": int, "file_name": str, "width": int, "height": int},
    "annotations": {"id": int, "image_id": int, "category_id": int, "bbox": list},
    "categories": {"id": int, "name": str},
}


def read_annotations(path: Path) -> GroundTruth:
    """The annotations in a file, after checks of everything but boxes, areas and crowds.

    Raises
    ------
    ValueError
        Where the file is no JSON of COCO's form; an image has no pixels; ids are not unique; or an annotation is of an
        image or category that the file doesn't have.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # of JSON, of UTF-8, or of lists in lists
        raise ValueError(f"{path} is no readable JSON ({error}): it may be truncated; unpack it again") from None
    parts = {part: _entries(content, part, path) for part in _FIELDS}
    if not parts["images"]:
        raise ValueError(f"{path} lists no images: choose a file with some")
    for entry in parts["images"]:
        if entry["width"] < 1 or entry["height"] < 1:
            raise ValueError(
                f"image {entry['id']} ({entry['file_name']}) of {path} is empty, {entry['width']}x{entry['height']} "
                "pixels: repair or remove its entry"
            )
    for part, entries in parts.items():
        _check_unique(entries, part, path)
    known = {"image_id": {e["id"] for e in parts["images"]}, "category_id": {e["id"] for e in parts["categories"]}}
    for entry in parts["annotations"]:
        for field, ids in known.items():
            if entry[field] not in ids:
                raise ValueError(
                    f"annotation {entry['id']} of {path} is of {field} {entry[field]}, which the file has not: it "
                    "doesn't match its images; unpack it again"
                )
    return GroundTruth(parts["images"], parts["annotations"], parts["categories"])


def checked_objects(truth: GroundTruth, path: Path) -> GroundTruth:
    """The same annotations with the ``area`` and ``iscrowd`` that some files leave out.

    Raises
    ------
    ValueError
        For boxes that are no boxes, are empty, or reach out of their image, and for areas and crowd flags that are
        none.
    """
    sizes = {entry["id"]: (entry["width"], entry["height"]) for entry in truth.images}
    filled = []
    for entry in truth.annotations:
        box = entry["bbox"]
        where = f"annotation {entry['id']} of {path} (image {entry['image_id']})"
        if len(box) != 4 or not all(map(_is_finite, box)):
            raise ValueError(f"{where} has bbox {box}; legal are four finite numbers: left, top, width and height")
        left, top, width, height = box
        if width <= 0 or height <= 0:
            raise ValueError(f"{where} has an empty box, {width} by {height} pixels: repair or remove it")
        columns, rows = sizes[entry["image_id"]]
        if min(left, top) < -_TOLERANCE or left + width > columns + _TOLERANCE or top + height > rows + _TOLERANCE:
            raise ValueError(
                f"{where} has a box outside of its image: {box} (left, top, width, height) in {columns}x{rows} pixels; "
                "repair or remove it"
            )
        area, crowd = entry.get("area", width * height), entry.get("iscrowd", 0)
        if not _is_finite(area) or area < 0:
            raise ValueError(f"{where} has area {area!r}; legal is a number of pixels, 0 or more, or no area")
        if crowd not in (0, 1):
            raise ValueError(f"{where} has iscrowd {crowd!r}; legal are 0 and 1")
        filled.append({**entry, "area": float(area), "iscrowd": int(crowd)})
    return GroundTruth(truth.images, filled, truth.categories)


def _entries(content: Any, part: str, path: Path) -> Sequence[Mapping[str, Any]]:
    found = content.get(part) if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise ValueError(f"{path} has no list {part!r}: it is no annotation file of COCO (instances_*.json)")
    for place, entry in enumerate(found):
        for field, kind in _FIELDS[part].items():
            value = entry.get(field) if isinstance(entry, dict) else None
            if not isinstance(value, kind) or isinstance(value, bool):
                raise ValueError(
                    f"entry {place} of {part!r} in {path} has {field} {value!r}; legal is a value of type "
                    f"{kind.__name__}: it is no annotation file of COCO (instances_*.json)"
                )
    return found


def _check_unique(entries: Sequence[Mapping[str, Any]], part: str, path: Path) -> None:
    seen: set[int] = set()
    for entry in entries:
        if entry["id"] in seen:
            raise ValueError(f"{path} has two entries of {part!r} with id {entry['id']}: remove one of them")
        seen.add(entry["id"])


def _is_finite(value: object) -> bool:
    """True for a number that float64 holds; JSON's true is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
