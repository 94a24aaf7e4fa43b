"""Time of whole networks: calibration, and execution relative to the float network."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Final

import torch
from torch import nn

import ptqsim as pq
from benchmarks.timing import Timing, interleaved
from ptqsim import ptq
from ptqsim.cli.framework.output import Output
from ptqsim.ptq.integer_only.build import build_plan

MODELS: Final[dict[str, str]] = {
    "vit_digits": "digits",
    "deit_small_patch16_224": "",
    "dinov2_small_photos": "photos",
}
"""Networks by name, each with its data; without data it has random weights, and its images are random."""
BITS: Final = 6
BATCH: Final = 8
CALIBRATION_IMAGES: Final = 32
SATURATING_BITS: Final = (20, 16)
"""Widths of the saturating registers that integer-only mode is timed with, too."""
GOALS: Final[dict[str, str]] = {
    "fake_quant": "1.25",
    "integer": "0.9",
    "integer_only": "0.6, of vit_digits 1",
    "with saturating registers": "1.2",
}
"""Greatest CPU time of a mode relative to the float network's."""


@dataclass(frozen=True)
class NetworkTimes:
    """Times of one network, on one thread of the processor.

    Attributes
    ----------
    model : str
    parameters : int
    calibration_seconds : float
        CPU time of PTQ4ViT at W6A6 on 32 images.
    float_seconds : float
        CPU time of a batch of 8 images in the float network.
    relative : dict
        CPU time of each way to run a batch, relative to the float network's right before it: a median over rounds.
    """

    model: str
    parameters: int
    calibration_seconds: float
    float_seconds: float
    relative: dict[str, float]

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def measure(only: str, rounds: int, seed: int, output: Output) -> list[NetworkTimes]:
    """Time every network whose name matches a pattern; all if it is empty, of the fetched ones those that were.

    Raises
    ------
    ValueError
        If no name matches.
    """
    names = [name for name in MODELS if not only or fnmatchcase(name, only)]
    if not names:
        raise ValueError(f"no network matches --only {only!r}; legal are {', '.join(MODELS)}, * being anything")
    import timm  # after a wrong name was refused, as it takes seconds

    torch.set_num_threads(1)
    pq.set_num_threads(1)
    found = []
    for name in names:
        torch.manual_seed(seed)
        try:
            network = ptq.load_model(name) if MODELS[name] else timm.create_model(name).eval()
        except FileNotFoundError as error:  # it was not fetched
            if only:
                raise
            output.note(str(error))
            continue
        found.append(_measure(name, network, rounds, seed, output))
    return found


def _measure(name: str, network: nn.Module, rounds: int, seed: int, output: Output) -> NetworkTimes:
    if MODELS[name]:
        images = ptq.sample_images(ptq.load_data(MODELS[name], network, split="calibration"), CALIBRATION_IMAGES, seed)
    else:
        images = torch.randn(CALIBRATION_IMAGES, *network.pretrained_cfg["input_size"])  # type: ignore[index]
    start = time.process_time()
    with output.progress(f"{name}, calibration", "layer") as told:
        quantized = ptq.calibrate(network, images, method="ptq4vit", w_bits=BITS, a_bits=BITS, seed=seed, progress=told)
    seconds = time.process_time() - start
    batch = images[:BATCH]
    quantized.plan = build_plan(quantized, images, ptq.IntegerOnly())
    if MODELS[name]:
        pixels = ptq.as_pixels(batch, quantized.plan.mean, quantized.plan.std)
    else:
        pixels = torch.randint(0, 256, batch.shape, dtype=torch.uint8)
    wide = pq.Accumulator(bits=32)
    quantized.accumulator = wide
    contenders: dict[str, Callable[[], object]] = {
        "fake_quant": partial(_run, quantized, batch, "fake_quant", statistics=False),
        "integer": partial(_run, quantized, batch, "integer", statistics=False),
        "integer, statistics": partial(_run, quantized, batch, "integer", statistics=True),
        "integer_only": partial(_run_integer_only, quantized, pixels, wide),
    }
    for bits in SATURATING_BITS:
        register = pq.Accumulator(bits=bits, overflow="saturate")
        contenders[f"integer_only, saturate {bits}"] = partial(_run_integer_only, quantized, pixels, register)
    with output.progress(f"{name}, modes", "round") as told:
        done = iter(range(1, rounds + 1))
        with torch.no_grad():
            found = interleaved(
                partial(network, batch), contenders, rounds, 0.2, after_round=lambda: told(next(done), rounds)
            )
    base = min(min(timing.base) for timing in found.values())
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return NetworkTimes(name, parameters, seconds, base, {mode: _relative(timing) for mode, timing in found.items()})


def _run(quantized: ptq.QuantizedModel, images: torch.Tensor, mode: str, *, statistics: bool) -> torch.Tensor:
    quantized.mode, quantized.statistics = mode, statistics
    found: torch.Tensor = quantized(images)
    return found


def _run_integer_only(quantized: ptq.QuantizedModel, pixels: torch.Tensor, register: pq.Accumulator) -> torch.Tensor:
    before = quantized.accumulator
    quantized.accumulator = register
    found = _run(quantized, pixels, "integer_only", statistics=False)
    quantized.accumulator = before
    return found


def _relative(timing: Timing) -> float:
    """Time relative to the baseline's, where `Timing.ratio` is the speed."""
    return 1 / timing.ratio


def show(found: list[NetworkTimes], output: Output) -> None:
    """A line per network."""
    modes = list(found[0].relative)
    output.table(
        ("Network", "parameters / 10⁶", f"PTQ4ViT W{BITS}A{BITS} / CPU s", f"float, {BATCH} images / CPU s", *modes),
        [
            (
                one.model,
                f"{one.parameters / 1e6:.1f}",
                f"{one.calibration_seconds:.1f}",
                f"{one.float_seconds:.3f}",
                *(f"{one.relative[mode]:.2f}" for mode in modes),
            )
            for one in found
        ],
        "CPU time of one thread; of the modes, relative to the float network's",
    )
    goals = "; ".join(f"{mode} {goal}" for mode, goal in GOALS.items())
    output.note(f"goals, at most: {goals}; every ratio is the median of rounds in which float and mode take turns")
