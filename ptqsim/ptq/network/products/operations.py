"""The quantizable operations of a network: each a matrix product O = A B in one canonical layout.

Every fully-connected layer, the patch projection, Q K^T and P V become ``out[g] = a[g] @ b[g]``, where the leading
axis holds the groups of values that share a scale (PTQ4ViT section 4.1): the heads of an attention product, W_Q, W_K
and W_V of a qkv layer, one group otherwise.  Capture, search, fake quantization and integer execution know only this
layout; how a module's tensors map to it is written once, here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

import ptqsim as pq
from ptqsim.common.choice import Choice
from ptqsim.ptq.network.products.as_given import given_sums_wanted, own_products
from ptqsim.ptq.network.products.blocked import AnyArray, Blocked
from ptqsim.ptq.network.products.bounds import operation_bounds
from ptqsim.ptq.network.products.execute import IntegerProduct, WeightCodes
from ptqsim.ptq.network.products.fake_quant import Format, decode_codes, fake_quantize


class Mode(Choice):
    """Execution mode of a quantized network or operation; see `ptqsim.ptq.QuantizedModel`."""

    FLOAT = "float"
    FAKE_QUANT = "fake_quant"
    INTEGER = "integer"
    INTEGER_ONLY = "integer_only"


Kind = Literal["linear", "qkv", "patch", "conv", "matmul_qk", "matmul_pv", "matmul"]
InputKind = Literal["uniform", "softmax", "gelu"]
Observer = Callable[["MatmulOperation", torch.Tensor, torch.Tensor, torch.Tensor], None]


@dataclass(frozen=True)
class OperandFormats:
    """The formats of both operands, one per group, or one for all groups."""

    a: tuple[Format, ...]
    b: tuple[Format, ...]


def _check_groups(name: str, formats: OperandFormats | None, groups: tuple[int, int]) -> None:
    """Refuse formats for some of the groups of a or of b only."""
    if formats is None:
        return
    for side, given, count in zip("ab", (formats.a, formats.b), groups, strict=True):
        if len(given) not in (1, count):
            legal = "1" if count == 1 else f"1 or {count}"
            raise ValueError(
                f"operand {side} of layer {name!r} was given {len(given)} formats; legal is {legal}: one for all "
                "groups, or one for each"
            )


class MatmulOperation(nn.Module):
    """A matrix product that can run in float, with fake quantization, or in exact integers.

    Attributes
    ----------
    name : str
        Dotted path in the network, e.g. ``blocks.0.attn.qkv``.
    kind : str
        ``linear``, ``qkv``, ``patch``, ``conv``, ``matmul_qk``, ``matmul_pv`` or ``matmul``.
    a_kind : str
        Kind of values in the left operand: ``uniform`` (any), ``softmax`` (probabilities) or ``gelu``.
    formats : OperandFormats or None
        Set by calibration.
    mode : Mode
        ``float``, ``fake_quant`` or ``integer``.
    observer : callable or None
        Called in float mode with the operation and its canonical a, b and output.  It may set formats and a mode; the
        operation then goes on in that mode, so that what follows sees its quantized output.
    substitute : callable or None
        Called with the canonical a and b in place of the operation's own product, while its formats are learned.
    report : mapping
        Report of the calibration: objective, normalized scales, candidates tried.
    """

    def __init__(self, name: str, kind: Kind, a_kind: InputKind = "uniform") -> None:
        super().__init__()
        self.name = name
        self.kind: Kind = kind
        self.a_kind: InputKind = a_kind
        self.mode = Mode.FLOAT
        self.observer: Observer | None = None
        self.depth = 0  # K, known for weights, seen at the first run for attention products
        self.report: Mapping[str, object] = {}
        self.substitute: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
        self.integer = IntegerProduct(name)
        self._formats: OperandFormats | None = None

    def __call__(self, *args: torch.Tensor) -> torch.Tensor:
        with own_products():
            return super().__call__(*args)  # type: ignore[no-any-return]

    @property
    def formats(self) -> OperandFormats | None:
        return self._formats

    @formats.setter
    def formats(self, formats: OperandFormats | None) -> None:
        _check_groups(self.name, formats, self.groups)
        self._formats = formats

    @property
    def watched(self) -> bool:
        """True where an observer or a hook is to see the product."""
        return self.observer is not None or bool(self._forward_hooks) or bool(self._forward_pre_hooks)

    @property
    def groups(self) -> tuple[int, int]:
        """Number of groups of a and of b."""
        raise NotImplementedError

    @property
    def constant_b(self) -> torch.Tensor | None:
        """The canonical weight [Gb, K, N], or None where b is an activation."""
        return None

    @property
    def weight_codes(self) -> WeightCodes | None:
        """The quantized weight, one [K, N / G] array per group, or None where b is an activation."""
        return None

    @property
    def has_blocks(self) -> bool:
        """True if one operand has a block format: products are then summed in the register of blocks."""
        formats = self.formats
        return formats is not None and any(isinstance(fmt, Blocked) for fmt in (*formats.a, *formats.b))

    @property
    def bounds(self) -> dict[str, pq.Bound]:
        """Accumulator width by each bound that applies, the widest over the groups (docs/bounds.md)."""
        return operation_bounds(self)

    def calibrated_rows(self, x: torch.Tensor) -> torch.Tensor:
        """Part of a, out or its gradient that calibration uses, [G, images * rows, ...]; by default all of it."""
        return x

    def product(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """a [Ga, ..., M, K] @ b [Gb, ..., K, N] -> [G, ..., M, N] in the operation's mode."""
        self.depth = a.shape[-1]
        if self.substitute is not None:
            return self.substitute(a, b)
        if self.mode == "float":
            out = torch.matmul(a, b)
            if self.observer is not None:
                self.observer(self, a, b, out)
            if self.mode == "float":
                return out
        formats = self._require_formats()
        if self.mode == "fake_quant":
            return torch.matmul(fake_quantize(a, formats.a), self._fake_b(b, formats))
        return self.integer.run(a, self._integer_b(b, formats), formats.a)

    def _fake_b(self, b: torch.Tensor, formats: OperandFormats) -> torch.Tensor:
        return fake_quantize(b, formats.b)

    def _integer_b(self, b: torch.Tensor, formats: OperandFormats) -> Sequence[AnyArray]:
        return self.integer.encode(b, formats.b)

    def _require_formats(self) -> OperandFormats:
        if self._formats is None:
            raise ValueError(
                f"layer {self.name!r} was asked to run in mode {self.mode!r}, but has no formats: "
                "calibrate the model first, or set the mode to 'float'"
            )
        return self._formats


class WeightOperation(MatmulOperation):
    """A product with a constant right operand: a fully-connected layer or the patch projection.

    Attributes
    ----------
    weight_codes : list of QuantizedArray
        Codes of the weight, one array per group: rounded to the formats unless a method chose them.
    corrected_bias : float tensor [N] or None
        Takes the place of the bias wherever the operation is quantized (bias correction, Liu et al. Eq. 15).
    """

    corrected_bias: torch.Tensor | None

    def __init__(
        self, name: str, kind: Kind, weight: torch.Tensor, bias: torch.Tensor | None, groups: int, a_kind: InputKind
    ) -> None:
        super().__init__(name, kind, a_kind)
        self.weight = weight
        self.bias = bias
        self.depth = weight[0].numel()
        self._groups = groups
        self._fake_weight: torch.Tensor | None = None
        self._codes: WeightCodes | None = None
        self.register_buffer("corrected_bias", None, persistent=False)

    @property
    def formats(self) -> OperandFormats | None:
        return self._formats

    @formats.setter
    def formats(self, formats: OperandFormats | None) -> None:
        _check_groups(self.name, formats, self.groups)
        self._formats, self._fake_weight, self._codes, self.corrected_bias = formats, None, None, None

    @property
    def groups(self) -> tuple[int, int]:
        return 1, self._groups

    @property
    def constant_b(self) -> torch.Tensor:
        rows = self.weight.detach().flatten(1)
        return rows.reshape(self._groups, -1, rows.shape[1]).transpose(1, 2)

    @property
    def weight_codes(self) -> WeightCodes:
        if self._codes is None:
            self._codes = self.integer.encode(self.constant_b, self._require_formats().b)
        return self._codes

    @weight_codes.setter
    def weight_codes(self, codes: WeightCodes) -> None:
        self._codes, self._fake_weight = codes, None

    def _fake_b(self, b: torch.Tensor, formats: OperandFormats) -> torch.Tensor:
        if self._fake_weight is None or self._fake_weight.device != b.device:
            self._fake_weight = decode_codes(self.weight_codes, b)
        return self._fake_weight

    def _integer_b(self, b: torch.Tensor, formats: OperandFormats) -> WeightCodes:
        return self.weight_codes

    def rows(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., K] times the weight, plus the bias: [..., N]."""
        if self.mode == "float" and self.observer is None:
            return F.linear(x, self.weight.flatten(1), self.bias)
        out = self.product(x.reshape(1, -1, x.shape[-1]), self.constant_b)
        # [G, rows, N / G] -> [rows, N]
        return self.with_bias(out.transpose(0, 1).reshape(*x.shape[:-1], -1))

    def with_bias(self, out: torch.Tensor) -> torch.Tensor:
        """Output of the product [..., N], plus the bias that holds in the operation's mode."""
        if self.mode == "float":  # an observer may have kept what came out
            return out if self.bias is None else out + self.bias
        bias = self.bias if self.corrected_bias is None else self.corrected_bias
        return out if bias is None else out.add_(bias)


class LinearOperation(WeightOperation):
    """A fully-connected layer; ``groups`` = 3 for a fused qkv layer."""

    def __init__(self, name: str, linear: nn.Linear, groups: int = 1, a_kind: InputKind = "uniform") -> None:
        super().__init__(name, "qkv" if groups == 3 else "linear", linear.weight, linear.bias, groups, a_kind)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rows(x)


class PatchOperation(WeightOperation):
    """The patch projection: a convolution whose stride is its kernel is a product over non-overlapping patches."""

    def __init__(self, name: str, conv: nn.Conv2d, a_kind: InputKind = "uniform") -> None:
        super().__init__(name, "patch", conv.weight, conv.bias, 1, a_kind)
        self.patch = (int(conv.kernel_size[0]), int(conv.kernel_size[1]))
        self.kernel_size = self.stride = self.patch  # some networks pad by what they read here

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [B, C, H, W] -> [B, N, H // p, W // p]."""
        if given_sums_wanted() and self.mode == "float" and not self.watched:
            return F.conv2d(x, self.weight, self.bias, self.patch)
        (p, q), (batch, channels) = self.patch, x.shape[:2]
        h, w = x.shape[2] // p, x.shape[3] // q
        patches = x[:, :, : h * p, : w * q].reshape(batch, channels, h, p, w, q).permute(0, 2, 4, 1, 3, 5)
        return self.rows(patches.reshape(batch, h, w, -1)).permute(0, 3, 1, 2).contiguous()  # as torch gives it


class AttentionMatmul(MatmulOperation):
    """Q K^T or P V, one group per head."""

    def __init__(self, name: str, kind: Literal["matmul_qk", "matmul_pv"], heads: int, depth: int = 0) -> None:
        super().__init__(name, kind, "softmax" if kind == "matmul_pv" else "uniform")
        self.heads = heads
        self.depth = depth

    @property
    def groups(self) -> tuple[int, int]:
        return self.heads, self.heads

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """a [B, H, M, K], b [B, H, K, N] -> [B, H, M, N]."""
        return self.product(a.transpose(0, 1), b.transpose(0, 1)).transpose(0, 1)
