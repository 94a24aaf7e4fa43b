"""The parts of DETR as operations: attention with visible Q K^T and P V, and convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from ptqsim.ptq.network.attention.adapters import Adapters
from ptqsim.ptq.network.convolutions.operation import ConvOperation
from ptqsim.ptq.network.products.operations import AttentionMatmul

if TYPE_CHECKING:
    from transformers.models.detr.modeling_detr import DetrCrossAttention, DetrSelfAttention


class _Attention(nn.Module):
    """Base of self- and cross-attention; 1/sqrt(d) is applied to the scores."""

    def __init__(self, name: str, original: DetrSelfAttention | DetrCrossAttention) -> None:
        super().__init__()
        self.heads = original.q_proj.weight.shape[0] // original.head_dim
        self.scale = float(original.scaling)
        self.q_proj: nn.Module = original.q_proj
        self.k_proj: nn.Module = original.k_proj
        self.matmul_qk = AttentionMatmul(f"{name}.matmul_qk", "matmul_qk", self.heads)
        self.v_proj: nn.Module = original.v_proj
        self.matmul_pv = AttentionMatmul(f"{name}.matmul_pv", "matmul_pv", self.heads)
        self.o_proj: nn.Module = original.o_proj

    def attend(
        self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Queries [B, M, C], keys and values [B, N, C], additive mask [B, 1, M, N] -> [B, M, C]."""
        q, k, v = (
            project(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project, x in ((self.q_proj, queries), (self.k_proj, keys), (self.v_proj, values))
        )
        scores = self.matmul_qk(q, k.transpose(-2, -1)) * self.scale
        if mask is not None:
            scores = scores + mask
        out = self.matmul_pv(scores.softmax(dim=-1), v)
        merged: torch.Tensor = self.o_proj(out.transpose(1, 2).flatten(2))
        return merged


class SelfAttention(_Attention):
    """For ``DetrSelfAttention``: positions are added to queries and keys, not to values."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_embeddings: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, None]:
        placed = hidden_states if position_embeddings is None else hidden_states + position_embeddings
        return self.attend(placed, placed, hidden_states, attention_mask), None


class CrossAttention(_Attention):
    """For ``DetrCrossAttention``: object queries look at the encoder's tokens."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        key_value_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_embeddings: torch.Tensor | None = None,
        encoder_position_embeddings: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, None]:
        queries = hidden_states if position_embeddings is None else hidden_states + position_embeddings
        keys = key_value_states
        if encoder_position_embeddings is not None:
            keys = keys + encoder_position_embeddings
        return self.attend(queries, keys, key_value_states, attention_mask), None


def detection_adapters() -> Adapters:
    """By the type that they take the place of."""
    from transformers.models.detr.modeling_detr import DetrCrossAttention, DetrSelfAttention

    return {DetrSelfAttention: SelfAttention, DetrCrossAttention: CrossAttention, nn.Conv2d: ConvOperation}
