"""The matrix unit beside another library's use of it."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq


@pytest.mark.models
@pytest.mark.parametrize("shape", [(197, 384, 512), (1, 64, 16), (33, 65, 97), (16, 1, 1)], ids=str)
def test_products_take_turns_with_those_of_torch(
    shape: tuple[int, int, int], rng: np.random.Generator, exact_words: str | None
) -> None:
    torch = pytest.importorskip("torch")
    rows, depth, columns = shape
    for _ in range(5):
        a = rng.integers(-127, 128, (rows, depth), dtype=np.int8)
        b = rng.integers(-127, 128, (depth, columns), dtype=np.int8)
        expected = torch.from_numpy(a).int() @ torch.from_numpy(b).int()
        if rows > 16 and depth % 8 == columns % 8 == 0:  # what its own product of bytes takes
            assert torch.equal(torch._int_mm(torch.from_numpy(a), torch.from_numpy(b)), expected)
        format_ = pq.Uniform(8, 1.0)
        result = pq.matmul(pq.quantize(a, format_), pq.quantize(b, format_), pq.Accumulator(32), statistics=False)
        assert exact_words in (None, result.kernel)
        assert np.array_equal(result.acc, expected.numpy())
