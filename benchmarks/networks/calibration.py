"""Time of a calibration relative to a plain search over the full grid, and the scales of both compared."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch

from benchmarks.networks import plain_search
from ptqsim import ptq
from ptqsim.cli.framework.output import Output
from ptqsim.common.progress import Progress
from ptqsim.errors import unknown_name
from ptqsim.ptq.calibration.methods import make_method
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.search.capture import OperationData

MODELS: Final = ("vit_tiny_patch16_224", "deit_small_patch16_224")
METHOD: Final = "ptq4vit"
ROUNDS: Final = 3
TIMES_FASTER: Final = 10.0
SAME_SHARE: Final = 0.99
LARGEST_EXCESS: Final = 1e-3


@dataclass(frozen=True)
class Compared:
    """One operation, calibrated both ways.

    Attributes
    ----------
    name : str
    alike : int
        Operations of the network with the same shapes, this one among them.
    plain_seconds : float
        Time of the plain calibration, its pass through the network included.
    scales, same : int
        Scales chosen, and those that both chose.
    excess : float
        By how much our choice is worse by the objective, as a share; negative if it is better.
    """

    name: str
    alike: int
    plain_seconds: float
    scales: int
    same: int
    excess: float


@dataclass(frozen=True)
class Calibration:
    """A network, calibrated by ptqsim as a whole, and plainly for one operation of every shape, or for all.

    Times are of the processor, or by the clock if the network is elsewhere.
    """

    model: str
    device: str
    images: int
    bits: int
    seconds: float
    operations: int
    compared: tuple[Compared, ...]

    @property
    def plain_seconds(self) -> float:
        """Time of the plain calibration of all operations."""
        return sum(one.plain_seconds * one.alike for one in self.compared)

    @property
    def times(self) -> float:
        """Speedup of ptqsim over the plain search."""
        return self.plain_seconds / self.seconds

    @property
    def same_share(self) -> float:
        """Share of the scales compared that are the same."""
        return sum(one.same for one in self.compared) / sum(one.scales for one in self.compared)

    @property
    def excess(self) -> float:
        """The largest excess of the objective."""
        return max(one.excess for one in self.compared)

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        found = {"plain_seconds": self.plain_seconds, "times": self.times, "same_share": self.same_share}
        return asdict(self) | found | {"excess": self.excess}


def measure(model: str, device: str, images: int, bits: int, every: bool, seed: int, progress: Progress) -> Calibration:
    """Calibrate a network of random weights on random images, on one thread or on a device.

    Every scale is compared of the operations that are calibrated both ways: one of each shape, or `every` one.
    """
    import timm

    if not timm.is_model(model):
        raise unknown_name("timm model", model, timm.list_models())
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    network = timm.create_model(model).eval().to(device)
    pictures = torch.randn(images, *network.pretrained_cfg["input_size"])  # type: ignore[index]
    start = _now(device)
    found = ptq.calibrate(network, pictures, method=METHOD, w_bits=bits, a_bits=bits, progress=progress)
    seconds = _now(device) - start
    pictures = pictures.to(device)
    quantized = QuantizedModel(network)
    groups = _alike(quantized, pictures[:1])
    wanted = [(name, 1) for group in groups for name in group]
    if not every:
        wanted = [(group[len(group) // 2], len(group)) for group in groups]
    compared = []
    for number, (name, alike) in enumerate(wanted):
        progress(number, len(wanted), f"plainly: {name}")
        compared.append(_compare(quantized, found, name, alike, pictures, bits))
    return Calibration(model, device, images, bits, seconds, len(quantized.layers), tuple(compared))


def _now(device: str | torch.device) -> float:
    """Seconds of the processor; or by the clock once a device has done all that it was given."""
    if torch.device(device).type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _compare(
    quantized: QuantizedModel, found: QuantizedModel, name: str, alike: int, images: torch.Tensor, bits: int
) -> Compared:
    method = make_method(METHOD, {"rounds": ROUNDS})
    op = quantized.layers[name]
    start = _now(images.device)
    data = plain_search.one_pass(quantized, op, images)
    spaces = plain_search.spaces_of(op, data, method, bits)
    chosen = plain_search.search(data, spaces, bits, ROUNDS)
    seconds = _now(images.device) - start
    theirs = [space.choose(choice) for space, choice in zip(spaces, chosen, strict=True)]
    formats = found.layers[name].formats
    assert formats is not None
    ours = [formats.a, formats.b]
    # the two passes through the network differ by float32 rounding, and so do the maxima that scales are multiples of
    pairs = [pair for mine, other in zip(ours, theirs, strict=True) for pair in zip(mine, other, strict=True)]
    same = sum(
        mine.shift == other.shift and math.isclose(mine.scale, other.scale, rel_tol=1e-4) for mine, other in pairs
    )
    excess = float(plain_search.score(data, ours).sum() / plain_search.score(data, theirs).sum() - 1)
    return Compared(name, alike, seconds, len(pairs), same, excess if same < len(pairs) else 0.0)


def _alike(quantized: QuantizedModel, image: torch.Tensor) -> list[list[str]]:
    """Names of the operations by what decides their cost: kind, what their inputs are, and shapes."""
    groups: dict[Hashable, list[str]] = {}
    with ptq.capture(quantized, image) as captured:
        for name, op in quantized.layers.items():
            groups.setdefault(_cost(op, captured[name]), []).append(name)
    return list(groups.values())


def _cost(op: MatmulOperation, data: OperationData) -> Hashable:
    return op.kind, op.a_kind, tuple(data.a.shape), tuple(data.b.shape)


def show(found: Calibration, output: Output) -> None:
    """A line per operation compared, and the sums."""
    unit = "CPU s" if found.device == "cpu" else "s"
    lines = [
        (one.name, one.alike, f"{one.plain_seconds:.1f}", f"{one.same} of {one.scales}", f"{one.excess:.1e}")
        for one in found.compared
    ]
    output.table(
        ("Operation", "alike", f"plain {unit}", "same scales", "excess"),
        lines,
        f"{found.model} on {found.device}, {found.images} images, W{found.bits}A{found.bits}: {METHOD}",
    )
    output.note(
        f"{found.model}: {found.seconds:.1f} {unit}; plainly, with one pass of the network per operation and the "
        f"full grid, {found.plain_seconds:.1f}: {found.times:.1f} times faster (goal {TIMES_FASTER:g})"
    )
    output.note(
        f"{100 * found.same_share:.1f} % of the scales are the same (goal {100 * SAME_SHARE:g}), the worst choice is "
        f"{found.excess:.1e} above the grid's (goal {LARGEST_EXCESS:g})"
    )
