"""Balance of the channels of queries and keys, and of values and the projection behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from ptqsim.errors import ArgumentTypeError
from ptqsim.ptq.calibration.folds.attentions import plain_attentions
from ptqsim.ptq.calibration.folds.smoothing import MOST, Smoothing
from ptqsim.ptq.calibration.folds.uses import BATCH
from ptqsim.ptq.network.admission.given import no_autocast
from ptqsim.ptq.network.foldings.head_folding import HeadFolding


@dataclass(frozen=True, kw_only=True)
class AttentionBalance:
    """Channels of Q divided by factors that those of K are multiplied by; those of V likewise into the projection.

    Q K^T is a sum over channels, so that every channel of Q may be divided by what its channel of K is multiplied by:
    ``(max|q_c| / max|k_c|)**power``, which with power = 1/2 makes both equally large.  Every column of P V is a mean of
    values of one channel, so that a channel of V may be divided by what its column of the projection's weight is
    multiplied by: :class:`Smoothing` of its magnitudes.  Nothing happens to attention with normalized or rotated
    queries, a gate, or a norm before its projection.

    Attributes
    ----------
    power : float
        Exponent of the ratio of queries and keys, 0 to 1; 0 leaves them.
    value_power, projection_power : float
        Exponents of `Smoothing` of the values, and of the projection's weights; 0 and 0 leave both.
    """

    power: float = 0.5
    value_power: float = 0.5
    projection_power: float = 0.5
    name: ClassVar[str] = "attention_balance"

    def __post_init__(self) -> None:
        if isinstance(self.power, bool) or not isinstance(self.power, int | float):
            raise ArgumentTypeError(f"power must be a number, got {self.power!r}")
        if not 0 <= self.power <= 1:
            raise ValueError(f"power is {self.power}; legal is 0 to 1: try 0.5")
        Smoothing(power=self.value_power, weight_power=self.projection_power)

    def foldings(self, model: nn.Module, images: torch.Tensor) -> list[HeadFolding]:
        """Factors of every attention of the network that has nothing else between its layers and its products."""
        found = dict(plain_attentions(model))
        largest = _largest(model, found, images)
        return [self._folding(name, module, largest[name]) for name, module in found.items()]

    def _folding(self, name: str, module: Any, largest: torch.Tensor) -> HeadFolding:
        q, k, v = largest.chunk(3)
        weights = module.proj.weight.detach().abs().amax(dim=0).double()
        scores = torch.ones_like(q)
        used = (q > 0) & (k > 0)
        scores[used] = (q[used] / k[used]).pow(self.power).clamp(1 / MOST, MOST)
        smoothing = Smoothing(power=self.value_power, weight_power=self.projection_power)
        return HeadFolding(f"{name}.qkv", f"{name}.proj", scores, smoothing.factors(v, weights))


def _largest(model: nn.Module, modules: dict[str, Any], images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Largest magnitude of every output of the qkv layers, float64 [3 C]."""
    found: dict[str, torch.Tensor] = {}

    def seen(name: str) -> Any:
        def hook(_module: nn.Module, _args: Any, out: torch.Tensor) -> None:
            largest = out.detach().abs().flatten(0, -2).amax(dim=0).double()
            found[name] = torch.maximum(found[name], largest) if name in found else largest

        return hook

    handles = [module.qkv.register_forward_hook(seen(name)) for name, module in modules.items()]
    try:
        with torch.no_grad(), no_autocast():
            for batch in images.split(BATCH):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return found
