"""Calibration images out of tensors, loaders and data sets."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from ptqsim.ptq.datasets import batches
from ptqsim.ptq.datasets.batches import as_images

IMAGES = torch.arange(10 * 12, dtype=torch.float32).reshape(10, 3, 2, 2)
LABELED = TensorDataset(IMAGES, torch.arange(10))


def test_a_tensor_is_itself() -> None:
    assert as_images(IMAGES) is IMAGES
    assert torch.equal(as_images(IMAGES, 4), IMAGES[:4])


@pytest.mark.parametrize("size", [1, 3, 10])
def test_a_loader_gives_its_images_in_order(size: int) -> None:
    assert torch.equal(as_images(DataLoader(LABELED, batch_size=size)), IMAGES)
    assert torch.equal(as_images(DataLoader(LABELED, batch_size=size), 5), IMAGES[:5])
    assert torch.equal(as_images(DataLoader(TensorDataset(IMAGES), batch_size=size)), IMAGES)


def test_a_loader_is_read_no_further_than_asked() -> None:
    class Endless(IterableDataset[torch.Tensor]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            while True:
                yield IMAGES[0]

    assert len(as_images(DataLoader(Endless(), batch_size=4), 6)) == 6
    with pytest.raises(ValueError, match=r"more than 4096 images and no number was given: .* num_images"):
        as_images(DataLoader(Endless(), batch_size=512))


def test_a_data_set_is_drawn_from_by_seed() -> None:
    first, again, other = (as_images(LABELED, 6, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len({float(image[0, 0, 0]) for image in first}) == 6, "no image twice"
    assert torch.equal(as_images(LABELED), IMAGES)


def test_a_mapping_begins_with_images() -> None:
    loader = DataLoader([{"pixel_values": image, "label": 1} for image in IMAGES], batch_size=4)
    assert torch.equal(as_images(loader), IMAGES)


@pytest.mark.parametrize("count", [0, -1, 11])
def test_a_number_that_cannot_be_had(count: int) -> None:
    for source in (IMAGES, LABELED, DataLoader(LABELED, batch_size=4)):
        with pytest.raises(
            ValueError, match=f"{count} images were asked of a source that has .*: ask for 1 to|num_images is {count};"
        ):
            as_images(source, count)


def test_many_images_need_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST", 9)
    for source in (LABELED, DataLoader(LABELED, batch_size=4)):
        with pytest.raises(ValueError, match="more than 9 images and no number"):
            as_images(source)
        assert len(as_images(source, 10)) == 10


def test_what_holds_no_images() -> None:
    with pytest.raises(ValueError, match="the source of images is empty"):
        as_images(DataLoader(TensorDataset(IMAGES[:0])))
    with pytest.raises(TypeError, match="without a tensor in its first place"):
        as_images(DataLoader(["a", "b"]))
    with pytest.raises(TypeError, match="images are a list; legal are"):
        as_images([IMAGES])
