"""Messages of an evaluation about outputs and data that are not as they should be."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.ptq.evaluation.evaluate import Evaluation
from ptqsim.ptq.search.capture import capture


class Numbers:
    """``count`` images whose only pixel is their number; labels are the numbers modulo ``classes``."""

    name = "numbers"
    fingerprint = ""

    def __init__(self, count: int, classes: int) -> None:
        self._count = count
        self.classes = classes

    def fingerprint_of(self, indices: Sequence[int]) -> str:
        return ""

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        numbers = torch.tensor(list(indices))
        return numbers.float()[:, None, None, None], numbers % self.classes


class Knows(nn.Module):
    """Gives the right class of every image, and NaN for numbers below ``unknown``."""

    def __init__(self, classes: int, unknown: int = 0) -> None:
        super().__init__()
        self.num_classes = classes
        self.unknown = unknown
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        numbers = images[:, 0, 0, 0]
        logits = torch.nn.functional.one_hot(numbers.long() % self.num_classes, self.num_classes).float()
        logits[numbers < self.unknown, 1] = torch.nan
        return logits


def test_nan_is_no_class() -> None:
    """Images 0 and 4 are of class 0, which is where arg max looks for NaN first."""
    data = Numbers(8, 4)
    assert ptq.evaluate(Knows(4), data, batch=3).top1 == 100.0
    with pytest.warns(UserWarning, match="5 of 8 images of .* have outputs that are NaN"):
        found = ptq.evaluate(Knows(4, unknown=5), data, batch=3)
    assert found.predictions.tolist() == [-1, -1, -1, -1, -1, 1, 2, 3]
    assert found.undefined.tolist() == [True] * 5 + [False] * 3
    assert found.top1 == 100 * 3 / 8
    assert math.isnan(found.cross_entropy)


def test_all_nan_is_all_wrong() -> None:
    labels = torch.zeros(3, dtype=torch.int64)
    assert Evaluation(torch.full((3, 5), torch.nan), labels).top1 == 0.0


def test_the_difference_of_nan() -> None:
    labels = torch.tensor([0, 1])
    one = Evaluation(torch.tensor([[1.0, torch.nan], [torch.inf, 2.0]]), labels)
    same = ptq.difference(one, Evaluation(one.logits.clone(), labels))
    assert (same.logits, same.predictions, same.largest) == (0, 0, 0.0)
    other = ptq.difference(one, Evaluation(torch.tensor([[1.0, 3.0], [torch.inf, 2.5]]), labels))
    assert (other.logits, other.predictions, other.largest) == (2, 1, math.inf)


def test_fewer_classes_than_the_model_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="numbers has 2 classes, and the model knows 100"):
        assert ptq.evaluate(Knows(100), Numbers(4, 2)).top1 == 50.0  # 0 and 1 are right, 2 and 3 have labels 0 and 1


def test_more_classes_than_the_model_are_refused_whatever_the_labels() -> None:
    with pytest.raises(ValueError, match="numbers has 5 classes, but the model knows 4"):
        ptq.evaluate(Knows(4), Numbers(10, 5), limit=2)


def test_no_images_and_no_numbers_of_images() -> None:
    with pytest.raises(ValueError, match="numbers has no images"):
        ptq.evaluate(Knows(4), Numbers(0, 4))
    for bad in ({"limit": 0}, {"limit": -1}, {"batch": 0}, {"batch": -3}):
        with pytest.raises(ValueError, match="legal is an integer of at least 1"):
            ptq.evaluate(Knows(4), Numbers(8, 4), **bad)
    for wrong in ({"limit": 2.0}, {"limit": True}, {"batch": "8"}):
        with pytest.raises(TypeError, match="legal is an integer of at least 1"):
            ptq.evaluate(Knows(4), Numbers(8, 4), **wrong)  # type: ignore[arg-type]
    assert ptq.evaluate(Knows(4), Numbers(8, 4), limit=np.int64(3), batch=np.int64(2)).images == 3  # type: ignore[arg-type]


def test_no_images_to_capture_or_verify(quantized: ptq.QuantizedModel, images: torch.Tensor) -> None:
    for batch in (0, -8):
        with pytest.raises(ValueError, match="at a time is"):
            capture(quantized, images, batch=batch)
        with pytest.raises(ValueError, match="at a time is"):
            ptq.verify(quantized, images, batch=batch)
    with pytest.raises(ValueError, match="N of at least 1"):
        ptq.verify(quantized, images[:0])
    with pytest.raises(ValueError, match="the number of outputs is 0"):
        ptq.verify(quantized, images, outputs=0)


@pytest.mark.filterwarnings("default")
def test_the_command_line_warns_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["evaluate", "--model", "vit_digits", "--data", str(folder)]) == 0
    told = capsys.readouterr()
    lines = [line for line in told.err.splitlines() if "classes" in line]
    assert lines == [
        f"ptqsim evaluate: warning: {folder}/val has 2 classes, and the model knows 100: its classes are taken "
        "for the model's first ones, which is right only if the model numbers them so"
    ]


def test_a_folder_with_more_classes_than_the_head_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in range(101):
        (tmp_path / f"{label:03}").mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / f"{label:03}" / "x.png")
    assert app.main(["evaluate", "--model", "vit_digits", "--data", str(tmp_path), "--limit", "5"]) == 2
    told = capsys.readouterr().err
    assert "has 101 classes, but the model knows 100" in told
    assert told.count("\n") == 1


def test_as_many_classes_as_the_model_are_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ptq.evaluate(Knows(4), Numbers(4, 4)).top1 == 100.0
