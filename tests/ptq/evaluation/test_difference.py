"""The divergence from the float network and its standard error, against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ptqsim import ptq
from ptqsim.ptq.network.tasks.task import kl_divergence


def evaluations(count: int, images: int = 40, classes: int = 7) -> list[ptq.Evaluation]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes, (images,), generator=generator)
    exact = 3 * torch.randn(images, classes, generator=generator)
    noise = [size * torch.randn(images, classes, generator=generator) for size in range(count)]
    return [ptq.Evaluation(exact + part, labels) for part in noise]


def test_divergence_is_scipy_s() -> None:
    from scipy.special import softmax
    from scipy.stats import entropy, sem

    exact, found = evaluations(2)
    p, q = (softmax(each.logits.double().numpy(), axis=1) for each in (exact, found))
    per_image = entropy(p, q, axis=1)
    assert found.divergence(exact.logits).numpy() == pytest.approx(per_image, rel=1e-12)
    gap = ptq.difference(found, exact)
    assert gap.divergence.value == pytest.approx(per_image.mean())
    assert gap.divergence.standard_error == pytest.approx(sem(per_image))
    same = 100 * np.mean(p.argmax(1) == q.argmax(1))
    assert gap.metrics == {
        "kl": gap.divergence.value,
        "kl_standard_error": gap.divergence.standard_error,
        "agreement": pytest.approx(same),
    }
    assert 0 < same < 100


def test_paired_difference_is_of_the_same_images() -> None:
    from scipy.stats import sem

    exact, near, far = evaluations(3)
    paired = ptq.paired_difference(near, far, exact)
    values = (near.divergence(exact.logits) - far.divergence(exact.logits)).numpy()
    assert paired.value == pytest.approx(values.mean())
    assert paired.value < 0
    assert paired.standard_error == pytest.approx(sem(values))
    back = ptq.paired_difference(far, near, exact)
    assert (back.value, back.standard_error) == pytest.approx((-paired.value, paired.standard_error))
    assert ptq.paired_difference(near, near, exact) == ptq.Mean(0.0, 0.0)


def test_divergence_is_zero_of_the_same_and_never_negative() -> None:
    (exact,) = evaluations(1, images=2000, classes=1000)
    assert (exact.divergence(exact.logits) == 0).all()
    tiny = exact.logits + 1e-7 * torch.randn(exact.logits.shape, generator=torch.Generator().manual_seed(1))
    assert (kl_divergence(tiny, exact.logits) >= 0).all()
    shifted = exact.logits.double() + 100.0  # the probabilities stay
    assert kl_divergence(shifted, exact.logits).max() < 1e-12


def test_probabilities_of_zero_count_nothing() -> None:
    exact, found = torch.tensor([[0.0, -1e30]]), torch.tensor([[0.0, 0.0]])
    assert kl_divergence(found, exact).tolist() == [pytest.approx(math.log(2))]


def test_not_a_number_is_not_hidden() -> None:
    exact, found = evaluations(2)
    found.logits[3, 2] = torch.nan
    gap = ptq.difference(found, exact)
    assert math.isnan(gap.divergence.value)


def test_other_images_are_refused() -> None:
    exact, found = evaluations(2)
    with pytest.raises(ValueError, match=r"with other labels can't be compared: evaluate the same images"):
        ptq.difference(found, ptq.Evaluation(exact.logits, exact.labels.flip(0)))
    with pytest.raises(ValueError, match="evaluate the same images"):
        ptq.paired_difference(found, ptq.Evaluation(exact.logits[:9], exact.labels[:9]), exact)


@given(st.lists(st.lists(st.floats(0, 1e3), min_size=1, max_size=9), min_size=1, max_size=5))
def test_means_of_parts_merge_into_that_of_all(parts: list[list[float]]) -> None:
    merged = ptq.Mean.merged([ptq.Mean.of(torch.tensor(part)) for part in parts], [len(part) for part in parts])
    whole = ptq.Mean.of(torch.tensor([value for part in parts for value in part]))
    assert merged.value == pytest.approx(whole.value, rel=1e-4, abs=1e-6)
    if sum(map(len, parts)) > 1:
        assert merged.standard_error == pytest.approx(whole.standard_error, rel=1e-4, abs=1e-4)
    else:
        assert math.isnan(merged.standard_error)


def test_one_image_has_no_standard_error() -> None:
    assert math.isnan(ptq.Mean.of(torch.tensor([0.5])).standard_error)
