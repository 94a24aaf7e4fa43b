"""The detection loss, against other implementations and by its properties."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from ptqsim.ptq.network.detr.boxes import centered, corners, generalized_iou
from ptqsim.ptq.network.detr.loss import BOX_WEIGHT, GIOU_WEIGHT, Targets, match, matched_loss
from ptqsim.ptq.network.detr.outputs import split_outputs
from ptqsim.ptq.network.detr.task import GRID, Detection


def some(seed: int, images: int = 4, queries: int = 5, objects: int = 3) -> tuple[torch.Tensor, torch.Tensor, Targets]:
    torch.manual_seed(seed)
    boxes = torch.rand(images, queries, 4) * 0.5 + 0.1
    labels = torch.randint(0, 6, (images, objects))
    labels[1, 2:] = -1
    labels[2] = -1
    true = torch.rand(images, objects, 4) * 0.5 + 0.1
    return torch.randn(images, queries, 7), boxes, Targets(labels, true)


def test_overlap_is_torchvisions() -> None:
    from torchvision.ops import generalized_box_iou

    one, other = torch.rand(6, 4) + 0.01, torch.rand(5, 4) + 0.01
    expected = generalized_box_iou(corners(one), corners(other))
    torch.testing.assert_close(generalized_iou(one[:, None], other[None]), expected)
    pixels = torch.tensor([[3.0, 4.0, 10.0, 20.0]])
    assert corners(centered(pixels)).tolist() == [[3.0, 4.0, 13.0, 24.0]]


def test_the_assignment_is_the_cheapest_of_all() -> None:
    from torchvision.ops import generalized_box_iou

    logits, boxes, targets = some(0)
    found = match(logits, boxes, targets)
    probability = logits.softmax(-1)
    for image in range(4):
        count = int((targets.labels[image] >= 0).sum())
        cost = torch.zeros(5, count)
        for q, t in itertools.product(range(5), range(count)):
            overlap = generalized_box_iou(corners(boxes[image, q])[None], corners(targets.boxes[image, t])[None])
            apart = (boxes[image, q] - targets.boxes[image, t]).abs().sum()
            cost[q, t] = 5 * apart - probability[image, q, targets.labels[image, t]] - 2 * overlap
        best = min(
            (
                float(sum(cost[q, t] for t, q in enumerate(chosen)))
                for chosen in itertools.permutations(range(5), count)
            ),
            default=0.0,
        )
        matched = [(q, int(t)) for q, t in enumerate(found[image]) if t >= 0]
        assert sorted(t for _, t in matched) == list(range(count))
        assert float(sum(cost[q, t] for q, t in matched)) == pytest.approx(best, abs=1e-5)


def test_the_loss_is_that_of_transformers() -> None:
    from transformers.loss.loss_for_object_detection import HungarianMatcher, ImageLoss

    logits, boxes, targets = some(1)
    labels: list[dict[str, Any]] = [
        {"class_labels": label[label >= 0], "boxes": box[label >= 0]}
        for label, box in zip(targets.labels, targets.boxes, strict=True)
    ]
    theirs = ImageLoss(HungarianMatcher(1, 5, 2), 6, 0.1, ["labels", "boxes"])(
        {"logits": logits, "pred_boxes": boxes}, labels
    )
    by_class, by_box, by_giou = matched_loss(logits, boxes, targets, match(logits, boxes, targets))
    objects = int((targets.labels >= 0).sum())
    weights = objects + 0.1 * (4 * 5 - objects)  # their class term is a weighted mean
    assert float(by_class) == pytest.approx(float(theirs["loss_ce"]) * weights, rel=1e-5)
    assert float(by_box) == pytest.approx(float(theirs["loss_bbox"]) * objects, rel=1e-5)
    assert float(by_giou) == pytest.approx(float(theirs["loss_giou"]) * objects, rel=1e-5)


def outputs(seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    logits, boxes = torch.randn(3, 6, 5) * 2, torch.rand(3, 6, 4) * 0.4 + 0.2
    logits[2, :, :-1] -= 20  # an image where nothing is found
    return torch.cat([logits, boxes], dim=-1).requires_grad_(True)


def test_own_predictions_as_labels_say_how_sensitive_classes_and_boxes_are() -> None:
    found = outputs(0)
    Detection().loss(found, "pseudo_label", torch.Generator()).backward()  # type: ignore[no-untyped-call]
    assert found.grad is not None
    logits, boxes = split_outputs(found.detach())
    by_logits, by_boxes = split_outputs(found.grad)
    labels = logits.argmax(-1)
    weight = torch.where(labels == 4, 0.1, 1.0)[..., None]
    expected = weight * (logits.softmax(-1) - torch.nn.functional.one_hot(labels, 5))
    torch.testing.assert_close(by_logits, expected, rtol=1e-4, atol=1e-5)
    assert (by_boxes[labels == 4] == 0).all()
    # the L1 term alone is worth +-5; the other pulls with at most 2 / side of the box, so sum them up by autograd
    own = boxes.clone().requires_grad_(True)
    target = (boxes * GRID).round() / GRID
    total = BOX_WEIGHT * (own - target).abs().sum(-1) + GIOU_WEIGHT * (1 - generalized_iou(own, target))
    total[labels != 4].sum().backward()  # type: ignore[no-untyped-call]
    assert own.grad is not None
    torch.testing.assert_close(by_boxes, own.grad, rtol=1e-4, atol=1e-4)
    assert (by_boxes[labels != 4] != 0).all()


def test_drawn_labels_follow_the_generator_and_soft_ones_say_nothing() -> None:
    gradients = []
    for seed in (1, 1, 2):
        found = outputs(0)
        Detection().loss(found, "sampled", torch.Generator().manual_seed(seed)).backward()  # type: ignore[no-untyped-call]
        gradients.append(found.grad)
    assert torch.equal(gradients[0], gradients[1])  # type: ignore[arg-type]
    assert not torch.equal(gradients[0], gradients[2])  # type: ignore[arg-type]
    found = outputs(0)
    Detection().loss(found, "released", torch.Generator()).backward()  # type: ignore[no-untyped-call]
    assert found.grad is not None
    assert float(found.grad.abs().max()) < 1e-6


def test_divergence_is_least_for_the_same_outputs() -> None:
    exact = outputs(3).detach()
    task = Detection()
    assert (task.divergence(exact, exact) == 0).all()
    torch.manual_seed(0)
    near, far = (task.divergence(exact + size * torch.randn_like(exact), exact) for size in (0.01, 0.1))
    assert near.shape == (len(exact),)
    assert (near > 0).all()
    assert (near < far).all()


def test_divergence_of_classes_is_that_of_their_distributions() -> None:
    exact = outputs(3).detach()
    other = exact.clone()
    other[..., :-4] += torch.randn(other[..., :-4].shape, generator=torch.Generator().manual_seed(0))
    p, q = (split_outputs(each)[0].double().softmax(-1) for each in (exact, other))
    from scipy.stats import entropy

    assert Detection().divergence(other, exact).numpy() == pytest.approx(entropy(p, q, axis=-1).sum(axis=1))
