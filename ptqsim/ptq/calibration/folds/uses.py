"""The normalization layers whose output linear layers alone read, found by watching the network run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ptqsim.ptq.network.admission.given import no_autocast

BATCH: Final = 8
_NORMS: Final = (F.layer_norm, torch.layer_norm, F.rms_norm, torch.rms_norm)
_READ: Final = {
    torch.Tensor.size, torch.Tensor.dim, torch.Tensor.numel, torch.Tensor.is_floating_point, torch.is_floating_point,
    *(getattr(torch.Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "requires_grad", "is_cuda")),
}  # fmt: skip
"""Functions that read no value."""
_RESHAPE: Final = {torch.Tensor.view, torch.Tensor.reshape, torch.reshape, torch.Tensor.contiguous}
_LINEAR: Final = ("input", "weight", "bias")
_PERMUTE: Final = {torch.Tensor.permute, torch.permute}


@dataclass(frozen=True, eq=False)
class FoldableNorm:
    """A normalization layer whose output linear layers alone read.

    Attributes
    ----------
    name : str
    linears : tuple of str
    lowest, greatest, mean : float64 tensor [C]
        Least, greatest and mean value of each channel of its output.
    weights : float64 tensor [C]
        Largest magnitude of the weights that each channel is multiplied by.
    gain : float64 tensor [C]
        Its own weight.
    offset : float64 tensor [C] or None
        Its own bias, where constants can be moved out of its output: it has a bias, no zeros are put beside the output,
        and every reader adds its own bias or none.  Else None.
    """

    name: str
    linears: tuple[str, ...]
    lowest: torch.Tensor
    greatest: torch.Tensor
    mean: torch.Tensor
    weights: torch.Tensor
    gain: torch.Tensor
    offset: torch.Tensor | None

    @property
    def outputs(self) -> torch.Tensor:
        """Largest magnitude of each channel of its output, float64 [C]."""
        return torch.maximum(self.lowest.abs(), self.greatest.abs())


def foldable_norms(model: nn.Module, images: torch.Tensor) -> list[FoldableNorm]:
    """The normalization layers that factors can be moved out of, in the order in which they run.

    These have a weight per channel, and every value that they put out, reshaped or not, is read by linear layers that
    read nothing else.  Anything else that happens to an output rules the layer out, so that what is found is certain.

    Parameters
    ----------
    model : nn.Module
    images : float tensor [N, C, H, W]
    """
    watch = _Watch(model)
    with torch.no_grad(), no_autocast():
        for batch in images.split(BATCH):
            with watch:
                output = model(batch)
            watch.rule_out(watch.sources_in(output))
            watch.forget()
    return list(watch.found())


@dataclass(frozen=True, eq=False)
class _Seen:
    """Least and greatest values and the sum of every channel of an output, over so many rows."""

    lowest: torch.Tensor
    greatest: torch.Tensor
    total: torch.Tensor
    rows: int

    def joined(self, other: _Seen) -> _Seen:
        lowest, greatest = torch.minimum(self.lowest, other.lowest), torch.maximum(self.greatest, other.greatest)
        return _Seen(lowest, greatest, self.total + other.total, self.rows + other.rows)


class _Watch(TorchFunctionMode):
    """Record of everything that reads the outputs of normalization layers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        users = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
        own = {
            id(module.weight): name
            for name, module in model.named_modules()
            if isinstance(getattr(module, "weight", None), nn.Parameter) and users[id(module.weight)] == 1
        }
        modules = dict(model.named_modules())
        self.linears = {key: name for key, name in own.items() if isinstance(modules[name], nn.Linear)}
        self.norms = {key: name for key, name in own.items() if modules[name].weight.ndim == 1}
        self.modules = modules
        self.sources: dict[int, tuple[torch.Tensor, str]] = {}  # the tensors are kept, so that no other has their id
        self.readers: dict[str, set[str]] = {}
        self.reads: dict[str, set[str | None]] = {}
        self.seen: dict[str, _Seen] = {}
        self.ruled_out: set[str] = set()
        self.unshiftable: set[str] = set()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        if func in _READ:
            return found
        sources = self.sources_in((args, kwargs))
        if func in _NORMS:
            self.rule_out(sources)
            self._norm(_argument(args, kwargs, 2, "weight"), found)
        elif func is F.linear:
            values, weight, bias = (_argument(args, kwargs, i, name) for i, name in enumerate(_LINEAR))
            self._linear(values, weight, bias, sources)
        elif len(sources) == 1 and _keeps_channels(func, args, kwargs, found):
            self.sources[id(found)] = found, next(iter(sources))
            if func is F.pad and any(_argument(args, kwargs, 1, "pad")):  # Swin pads by nothing where windows fit
                self.unshiftable |= sources
        else:
            self.rule_out(sources)
        return found

    def sources_in(self, values: object) -> set[str]:
        """The normalization layers whose output is among the tensors in arguments or results."""
        if isinstance(values, torch.Tensor):
            known = self.sources.get(id(values))
            return {known[1]} if known is not None else set()
        if isinstance(values, Mapping):
            values = tuple(values.values())
        if isinstance(values, list | tuple):
            return set().union(*map(self.sources_in, values))
        return set()

    def rule_out(self, names: set[str]) -> None:
        self.ruled_out |= names

    def forget(self) -> None:
        """The tensors of one run."""
        self.sources.clear()

    def found(self) -> Iterator[FoldableNorm]:
        for name, seen in self.seen.items():
            readers = sorted(self.readers.get(name, ()))
            if name in self.ruled_out or not readers or any(self.reads[linear] != {name} for linear in readers):
                continue
            magnitudes = [self.modules[linear].weight.detach().abs().amax(dim=0).double() for linear in readers]
            norm = self.modules[name]
            bias = getattr(norm, "bias", None)
            yield FoldableNorm(
                name,
                tuple(readers),
                seen.lowest,
                seen.greatest,
                seen.total / seen.rows,
                torch.stack(magnitudes).amax(dim=0),
                norm.weight.detach().double(),
                None if bias is None or name in self.unshiftable else bias.detach().double(),
            )

    def _norm(self, weight: object, output: torch.Tensor) -> None:
        name = self.norms.get(id(weight))
        if name is None:
            return
        self.sources[id(output)] = output, name
        values = output.detach().flatten(0, -2).double()
        seen = _Seen(values.amin(dim=0), values.amax(dim=0), values.sum(dim=0), len(values))
        self.seen[name] = seen if name not in self.seen else self.seen[name].joined(seen)

    def _linear(self, values: object, weight: object, bias: object, sources: set[str]) -> None:
        name = self.linears.get(id(weight))
        read = self.sources_in(values)
        if name is None or sources != read:  # an unknown layer, or an output that is used as a weight or a bias
            self.rule_out(sources)
            return
        self.reads.setdefault(name, set()).update(read or {None})
        if bias is not self.modules[name].bias:
            self.unshiftable |= read
        for source in read:
            self.readers.setdefault(source, set()).add(name)


def _keeps_channels(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], found: Any) -> bool:
    """True if the result holds the values of the first argument, each in its channel, and zeros at most beside them."""
    if not args or not isinstance(args[0], torch.Tensor):
        return False
    if func in _RESHAPE:
        return bool(found.shape[-1] == args[0].shape[-1])
    last = args[0].ndim - 1
    if func in _PERMUTE:
        order = args[1] if len(args) == 2 and isinstance(args[1], list | tuple) else args[1:]
        return bool(order) and order[-1] in (last, -1)
    if func is torch.roll:  # the shifted windows of Swin
        dims = _argument(args, kwargs, 2, "dims")
        return dims is not None and not {last, -1} & set(dims if isinstance(dims, list | tuple) else (dims,))
    if func is F.pad:  # a zero is a zero in any unit
        pad = _argument(args, kwargs, 1, "pad")
        mode, value = (_argument(args, kwargs, at, name) for at, name in ((2, "mode"), (3, "value")))
        return tuple(pad[:2]) == (0, 0) and mode in (None, "constant") and not value
    return False


def _argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], position: int, name: str) -> Any:
    return args[position] if len(args) > position else kwargs.get(name)
