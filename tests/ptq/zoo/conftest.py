"""Checkpoints of PyTorch read in the process of the tests, which wrote them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from ptqsim.ptq.zoo.conversion import reader


class NoFence:
    """In this process no hook is added, which could not be removed."""

    met = ""

    @contextmanager
    def closed(self) -> Iterator[None]:
        yield


@pytest.fixture
def read() -> Callable[..., dict[str, Any]]:
    """Answers of the reading process, made in this one."""

    def read(*sources: Path, output: Path | None = None, **options: Any) -> dict[str, Any]:
        """The answer of the reading process, made in this one from files that the tests wrote."""
        reader._allow_harmless()
        request = {"key": None, "ema": False, "prefix": None, "strip": True} | options
        place = None if output is None else str(output)
        return reader.converted({"sources": list(map(str, sources)), "output": place} | request, NoFence())  # type: ignore[arg-type]

    return read


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {f"blocks.{i}.weight": torch.randn(3, 4, generator=generator) for i in range(2)}
    made["tied"] = made["blocks.0.weight"]
    made["slice"] = made["blocks.1.weight"][1:]
    made["turned"] = torch.randn(4, 6, generator=generator).T
    made["half"], made["brain"] = (torch.randn(5, generator=generator).to(t) for t in (torch.float16, torch.bfloat16))
    made["count"], made["none"] = torch.tensor(7), torch.zeros(0, 3)
    return made
