"""timm's attention modules, with Q K^T and P V as operations of their own.

One class per attention module of timm.  Each takes over the original's sub-modules under their own names and states
PTQ4ViT Eq. 1 with the two products made visible; 1/sqrt(d) is applied to the scores, so that Q and K themselves are
what is quantized.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import nn

from ptqsim.ptq.network.attention.timm_modules import attention_adapters
from ptqsim.ptq.network.convolutions.standardized import layer_adapters
from ptqsim.ptq.network.products.as_given import given_sums_wanted
from ptqsim.ptq.network.products.operations import AttentionMatmul
from ptqsim.ptq.network.timm_classes import timm_class


class _Attention(nn.Module):
    """Base of the adapters: heads split off, scores, probabilities, heads merged.

    The fully-connected layers of the original have to be operations already; the original itself is kept beside, as no
    sub-module, to sum as it does where no product has to be seen.
    """

    def __init__(self, name: str, original: nn.Module, depth: int = 0) -> None:
        super().__init__()
        self._given = (_twin(original),)
        self.heads: int = original.num_heads  # type: ignore[assignment]
        self.scale: float = original.scale  # type: ignore[assignment]
        self.qkv: nn.Module = original.qkv  # type: ignore[assignment]
        self.matmul_qk = AttentionMatmul(f"{name}.matmul_qk", "matmul_qk", self.heads)
        self.matmul_pv = AttentionMatmul(f"{name}.matmul_pv", "matmul_pv", self.heads, depth)
        self.proj: nn.Module = original.proj  # type: ignore[assignment]

    @property
    def given(self) -> nn.Module | None:
        """The original, where its own sums take the place of both products."""
        if not given_sums_wanted() or any(op.watched or op.mode != "float" for op in (self.matmul_qk, self.matmul_pv)):
            return None
        return self._given[0]

    def know_depths(self, x: torch.Tensor) -> None:
        """Note K of both products of an input [B, N, C], which the original does not show."""
        weight: torch.Tensor = self.qkv.weight  # type: ignore[assignment]
        self.matmul_qk.depth = weight.shape[0] // (3 * self.heads)
        self.matmul_pv.depth = x.shape[1]

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """x [B, N, C] -> q, k, v, each [B, H, N, d]."""
        batch, tokens, _ = x.shape
        return self.qkv(x).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)  # type: ignore[no-any-return]

    def attend(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """softmax(Q K^T / sqrt(d) + bias) V, Eq. 1, with the heads merged: [B, N, C]."""
        scores = self.matmul_qk(q, k.transpose(-2, -1)) * self.scale
        if bias is not None:
            scores = scores + bias
        out: torch.Tensor = self.matmul_pv(scores.softmax(dim=-1), v)
        return out.transpose(1, 2).flatten(2)


def _twin(original: nn.Module) -> nn.Module:
    """The same module, parameters and buffers shared, whose sub-modules outlast those of the original."""
    twin = copy.copy(original)
    twin._modules = dict(original._modules)
    return twin


class ViTAttention(_Attention):
    """For ``timm.layers.attention.Attention``: ViT and DeiT."""

    def __init__(self, name: str, original: nn.Module) -> None:
        super().__init__(name, original)
        self.q_norm: nn.Module = original.q_norm  # type: ignore[assignment]
        self.k_norm: nn.Module = original.k_norm  # type: ignore[assignment]
        self.norm: nn.Module = original.norm  # type: ignore[assignment]

    def forward(self, x: torch.Tensor, attn_mask: torch.Tensor | None = None, is_causal: bool = False) -> torch.Tensor:
        if is_causal:
            raise ValueError(f"causal attention was asked of {self.matmul_qk.name!r}; vision transformers use none")
        if (given := self.given) is not None:
            self.know_depths(x)
            return given(x) if attn_mask is None else given(x, attn_mask=attn_mask)  # type: ignore[no-any-return]
        if attn_mask is not None and attn_mask.dtype == torch.bool:  # True where a key is seen
            attn_mask = torch.zeros_like(attn_mask, dtype=x.dtype).masked_fill_(~attn_mask, float("-inf"))
        q, k, v = self.split(x)
        merged = self.attend(self.q_norm(q), self.k_norm(k), v, attn_mask)
        return self.proj(self.norm(merged))  # type: ignore[no-any-return]


class SwinAttention(_Attention):
    """For ``timm.models.swin_transformer.WindowAttention``: relative position bias, and the mask of shifted windows."""

    def __init__(self, name: str, original: nn.Module) -> None:
        super().__init__(name, original, depth=original.window_area)  # type: ignore[arg-type]
        # the bias is read through the original, whose table and index it keeps; its products are not run
        self.original = original
        del original.qkv, original.proj

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if (given := self.given) is not None:
            self.know_depths(x)
            return given(x, mask)  # type: ignore[no-any-return]
        bias: torch.Tensor = self.original._get_rel_pos_bias()  # type: ignore[operator]
        if mask is not None:  # [windows, N, N], the batch being [images * windows, N, C]
            bias = (bias + mask[:, None]).repeat(x.shape[0] // mask.shape[0], 1, 1, 1)
        q, k, v = self.split(x)
        return self.proj(self.attend(q, k, v, bias))  # type: ignore[no-any-return]


Adapters = Mapping[type[nn.Module], Callable[[str, nn.Module], nn.Module]]
"""From the type of a module to what takes its place, made from its name and itself."""

LEFT_OUT: Final = ("attn_drop", "proj_drop", "softmax")
"""Sub-modules of attention that do nothing in evaluation, or only what the adapters state themselves."""


def classification_adapters() -> Adapters:
    """By the type that they take the place of; those of timm, of what is imported of it."""
    own = {
        timm_class("layers.attention.Attention"): _vit_attention,
        timm_class("models.swin_transformer.WindowAttention"): SwinAttention,
    }
    return {
        **layer_adapters(),
        **attention_adapters(),
        **{kind: made for kind, made in own.items() if kind is not None},
    }


def _vit_attention(name: str, original: nn.Module) -> nn.Module:
    """The plain attention; a gated one runs its own forward."""
    gated = getattr(original, "gate", None) is not None
    return attention_adapters()[type(original)](name, original) if gated else ViTAttention(name, original)
