"""Classes of the splits of a folder, and the words in which messages name it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from ptqsim import ptq
from tests.ptq.conftest import tiny_vit
from tests.ptq.networks import timm_model


def fill(root: Path, **splits: list[str]) -> Path:
    for split, classes in splits.items():
        for name in classes:
            (root / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(root / split / name / "image.png")
    return root


@pytest.mark.parametrize("split", ["train", "calibration", "validation"])
@pytest.mark.parametrize("name", ["val", "validation", "test"])
def test_other_classes_in_train_than_in_val_are_refused(tmp_path: Path, split: str, name: str) -> None:
    """Without the bird of train, dog would be class 1 in val and class 2 in train."""
    model = tiny_vit()
    data = fill(tmp_path, train=["ant", "bird", "dog"], **{name: ["ant", "dog", "eel"]})
    with pytest.raises(ValueError, match="different classes") as caught:
        ptq.load_data(data, model, split=split)
    assert f"{data / 'train'} alone has bird and {data / name} alone has eel; legal" in str(caught.value)
    assert ptq.load_data(data / "train", model).classes == 3  # type: ignore[attr-defined]


def test_only_one_split_has_more_classes(tmp_path: Path) -> None:
    data = fill(tmp_path, train=[f"c{i}" for i in range(9)], val=["c0", "c1"])
    with pytest.raises(ValueError, match=r"train alone has c2, c3, c4, c5, c6, \.\.\.; legal"):
        ptq.load_data(data, tiny_vit())


def test_the_same_classes_hidden_folders_and_one_split_are_taken(tmp_path: Path) -> None:
    data = fill(tmp_path / "both", train=["ant", "dog"], val=["ant", "dog"])
    (data / "val" / ".ipynb_checkpoints").mkdir()
    assert ptq.load_data(data, tiny_vit()).read([0, 1])[1].tolist() == [0, 1]
    alone = fill(tmp_path / "alone", val=["ant", "dog"])
    assert ptq.load_data(alone, tiny_vit()).read([0, 1])[1].tolist() == [0, 1]


def test_imagenets_numbers_do_not_depend_on_the_folders(tmp_path: Path) -> None:
    data = fill(tmp_path, train=["n01440764"], val=["n01440764", "n15075141"])
    assert ptq.load_data(data, timm_model("test_vit")).read([0, 1])[1].tolist() == [0, 999]
    with pytest.raises(ValueError, match="val alone has n15075141"):
        ptq.load_data(data, timm_model("test_vit", num_classes=2))


@pytest.mark.parametrize("given", ["photos", "photos/", "./photos", "absolute"])
def test_messages_name_the_folder_as_it_was_given(
    model: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    fill(tmp_path / "photos", train=["ant", "dog"], val=["ant", "dog"])
    monkeypatch.chdir(tmp_path)
    place = str(tmp_path / "photos") if given == "absolute" else given
    data = ptq.load_data(place, model)
    with pytest.warns(UserWarning, match="has 2 classes, and the model knows 10") as caught:
        ptq.evaluate(model, data)
    assert str(caught[0].message).startswith(f"{Path(place) / 'val'} has 2 classes")
    with pytest.raises(ValueError, match=f"3 images were asked of {Path(place) / 'val'}, which has 2"):
        ptq.sample_images(data, 3)
    assert data.name == "val"


def test_outputs_that_are_nan_name_the_data(own: nn.Module, folder: Path) -> None:
    own.num_classes = 2  # type: ignore[assignment]
    own.head = nn.Linear(32, 2)
    with torch.no_grad():
        own.head.bias[0] = torch.nan
    with pytest.warns(UserWarning, match=f"^6 of 6 images of {folder / 'val'} have outputs that are NaN"):
        ptq.evaluate(own, ptq.load_data(folder, own))
