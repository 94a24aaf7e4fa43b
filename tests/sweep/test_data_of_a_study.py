"""The images of a study count by their contents: in the keys of its points, and in what workers read and are sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ptqsim import ptq
from ptqsim.sweep.plan.open_study import OpenStudy
from ptqsim.sweep.study.point import Point
from ptqsim.sweep.study.reading import parse_study
from ptqsim.sweep.work.content import ContentCache, MissingContent
from ptqsim.sweep.work.sources import OpenSource, StudySource

STUDY = """
name: folder
data: images
axes:
  model: vit_digits
  method: percentile
  w_bits: 6
  a_bits: 6
  mode: [float, integer]
  calibration_images: 4
  evaluation_images: 10
"""
CLASSES = 100


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of one image for each of the model's classes, all files of one size."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for label in range(CLASSES):
            folder = tmp_path / "images" / split / f"{label:03}"
            folder.mkdir(parents=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / "x.bmp")
    return tmp_path / "images"


def opened(folder: Path) -> OpenStudy:
    return OpenStudy(parse_study(STUDY), folder / "study.yaml", folder / "cache")


def keys(folder: Path) -> tuple[dict[bool, str], list[str]]:
    """Keys of points, of the float network and of the calibrated one, and of calibrations."""
    plan = opened(folder).plan
    points = {point.calibration is None: plan.key(point) for point in plan.points}
    return points, [plan.calibration_key(calibration) for calibration in plan.calibrations()]


def exchange(one: Path, other: Path) -> None:
    assert one.stat().st_size == other.stat().st_size
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def test_two_files_of_one_size_exchanged_make_other_points(images: Path, tmp_path: Path) -> None:
    before, calibrations = keys(tmp_path)
    assert keys(tmp_path) == (before, calibrations)
    exchange(images / "val" / "000" / "x.bmp", images / "val" / "007" / "x.bmp")
    after, same = keys(tmp_path)
    assert same == calibrations
    assert after[True] != before[True]
    assert after[False] != before[False]


def test_what_a_point_does_not_use_does_not_change_it(images: Path, tmp_path: Path) -> None:
    """The first ten images are evaluated."""
    before = keys(tmp_path)
    exchange(images / "val" / "010" / "x.bmp", images / "val" / "011" / "x.bmp")
    assert keys(tmp_path) == before


def test_calibration_images_exchanged_make_other_calibrations(images: Path, tmp_path: Path) -> None:
    points, calibrations = keys(tmp_path)
    for label in range(0, CLASSES, 2):  # among them, or beside them, is each of the four
        exchange(images / "train" / f"{label:03}" / "x.bmp", images / "train" / f"{label + 1:03}" / "x.bmp")
    other_points, other_calibrations = keys(tmp_path)
    assert other_calibrations != calibrations
    assert other_points[True] == points[True]
    assert other_points[False] != points[False]


def point_of(study: OpenStudy) -> Point:
    return next(point for point in study.plan.points if point.calibration is not None)


def test_a_worker_reads_no_other_images_than_the_clients(images: Path, tmp_path: Path) -> None:
    study = opened(tmp_path)
    point = point_of(study)
    (task,) = study.plan.point_tasks(point)
    source = StudySource(**task.payload["source"])
    own = ContentCache(tmp_path / "own")
    about = (task.payload["first"], task.payload["images"], task.payload["content"])
    expected, labels = OpenSource(source, own).validation(*about).read(range(10))
    assert labels.tolist() == list(range(10))

    for name in _lacking(source, own, about, images):
        own.put(name, study.send(task, name))
    (images / "val").rename(images / "elsewhere")
    packed = OpenSource(source, own).validation(*about)
    assert len(packed) == 10
    got, same = packed.read(range(10))
    assert torch.equal(got, expected)
    assert same.tolist() == labels.tolist()


def _lacking(source: StudySource, own: ContentCache, about: tuple[int, int, str], images: Path) -> tuple[str, ...]:
    """The request of a worker whose folder has the same names and other images."""
    exchange(images / "val" / "000" / "x.bmp", images / "val" / "007" / "x.bmp")
    with pytest.raises(MissingContent) as asked:
        OpenSource(source, own).validation(*about)
    exchange(images / "val" / "000" / "x.bmp", images / "val" / "007" / "x.bmp")
    return asked.value.names


def test_images_that_change_under_a_running_study_stop_it(images: Path, tmp_path: Path) -> None:
    study = opened(tmp_path)
    (task,) = study.plan.point_tasks(point_of(study))
    source = StudySource(**task.payload["source"])
    about = (task.payload["first"], task.payload["images"], task.payload["content"])
    (name,) = _lacking(source, ContentCache(tmp_path / "own"), about, images)
    exchange(images / "val" / "000" / "x.bmp", images / "val" / "007" / "x.bmp")
    with pytest.raises(ValueError, match="have changed since the study began"):
        study.send(task, name)


def test_calibration_images_are_sent_too(images: Path, tmp_path: Path) -> None:
    study = opened(tmp_path)
    task = study.plan.calibration_task(study.plan.calibrations()[0])
    source = StudySource(**task.payload["source"])
    about = tuple(task.payload[name] for name in ("images", "seed", "content"))
    expected = OpenSource(source, ContentCache(tmp_path / "own")).calibration_images(*about)
    with pytest.raises(MissingContent) as asked:
        OpenSource(source, ContentCache(tmp_path / "own")).calibration_images(about[0], about[1], "of other images")
    assert asked.value.names[0].startswith("images-")
    (images / "train").rename(images / "aside")
    with pytest.raises(MissingContent) as asked:
        OpenSource(source, ContentCache(tmp_path / "own")).calibration_images(*about)
    (images / "aside").rename(images / "train")
    (name,) = asked.value.names
    ContentCache(tmp_path / "own").put(name, study.send(task, name))
    (images / "train").rename(images / "aside")
    assert torch.equal(OpenSource(source, ContentCache(tmp_path / "own")).calibration_images(*about), expected)


def test_a_folder_with_other_classes_than_the_model(images: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        (images / split / "000").rename(images / split / "100")
    assert keys(tmp_path)  # as many as before
    (images / "val" / "001").rename(tmp_path / "aside")
    with pytest.raises(ValueError, match="train alone has 001"):
        opened(tmp_path)
    (images / "train" / "001").rename(tmp_path / "aside too")
    with pytest.warns(UserWarning, match="val has 99 classes, and the model knows 100"):
        opened(tmp_path)


def test_a_network_of_other_options_is_another_source(images: Path) -> None:
    """The same weights, pooled otherwise, give other numbers, and a larger image is other data."""
    plain = keys(images.parent)
    text = STUDY.replace("vit_digits", "{name: vit_digits, OPTIONS}")

    def source(options: str) -> tuple[OpenStudy, StudySource]:
        study = parse_study(text.replace("OPTIONS", options))
        made = OpenStudy(study, images.parent / "study.yaml", images.parent / "cache")
        return made, StudySource(**made.plan.sources["vit_digits"])

    found = {}
    for options in ("img_size: 32", "model_kwargs: {global_pool: avg, fc_norm: false}", "img_size: [64, 32]"):
        made, about = source(options)
        found[options] = [made.plan.key(point) for point in made.plan.points]
        network = OpenSource(about, ContentCache(images.parent / "cache")).network
        assert ptq.options_of(network) == about.options
        assert about.weights is not None
    every = [*plain[0].values(), *(key for some in found.values() for key in some)]
    assert len(set(every)) == len(every) == 8
    about = source("img_size: [64, 32]")[1]
    worker = ContentCache(images.parent / "cache")
    assert ptq.load_data(images, OpenSource(about, worker).network).read([0])[0].shape == (1, 3, 64, 32)
    with pytest.raises(ValueError, match="model vit_digits is one of embedding, and studies are of classifiers"):
        source("num_classes: 0")


def test_logits_of_the_float_network_are_kept_by_its_options(images: Path) -> None:
    """The same weights on the same images, in one cache: pooled otherwise, they give other logits."""
    text = STUDY.replace("vit_digits", "{name: vit_digits, OPTIONS}")
    cache = ContentCache(images.parent / "cache")
    found = []
    for options in ("img_size: 32", "model_kwargs: {global_pool: avg, fc_norm: false}"):
        study = OpenStudy(parse_study(text.replace("OPTIONS", options)), images.parent / "study.yaml", cache.folder)
        source = OpenSource(StudySource(**study.plan.sources["vit_digits"]), cache)
        data = ptq.load_data(images, source.network)
        for _ in range(2):  # computed, then kept
            logits = source.float_logits(data, data.fingerprint)
            assert torch.equal(logits, ptq.evaluate(source.network, data, batch=100).logits)
        found.append(logits)
    assert not torch.equal(*found)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("img_sise: 64", "unknown key 'img_sise'.*Did you mean 'img_size'"),
        ("img_size: 0", "img_size must be an integer from 1 to 4096, got 0"),
        ("img_size: [1, 2, 3]", "legal is one integer, or a pair"),
        ("num_classes: many", "num_classes is 'many'"),
        ("model_kwargs: {checkpoint_path: w.pth}", "argument 'checkpoint_path' of the model is not passed to timm"),
        ("model_kwargs: {img_size: 32}, img_size: 64", "img_size was given as .* choose one"),
    ],
)
def test_options_of_a_network_are_checked_as_the_file_is_read(options: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^study.yaml:5:.*{told}"):
        parse_study(STUDY.replace("vit_digits", f"{{name: vit_digits, {options}}}"), "study.yaml")
