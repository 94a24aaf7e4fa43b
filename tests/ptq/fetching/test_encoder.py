"""Weights out of an ONNX file: each under its name, positions resized as timm does it."""

from __future__ import annotations

import onnx
import pytest
import torch
from torch import nn

from ptqsim.ptq.fetching.encoder import encoder_weights, resized_positions
from tests.ptq.fetching.making import DEPTH, WIDTH


def test_every_weight_comes_back_under_its_name(encoder: nn.Module, onnx_file: bytes) -> None:
    state = encoder.state_dict()
    found = encoder_weights(onnx_file, width=WIDTH, depth=DEPTH, side=37)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state.keys() - {"pos_embed"})
    assert torch.allclose(found["pos_embed"], state["pos_embed"], atol=1e-7)


@pytest.mark.parametrize("side", [5, 16, 40])
def test_positions_are_resized_as_timm_does_it(encoder: nn.Module, side: int) -> None:
    from timm.layers import resample_abs_pos_embed

    positions = encoder.state_dict()["pos_embed"]
    wanted = resample_abs_pos_embed(positions, new_size=[side, side], num_prefix_tokens=1)
    assert torch.allclose(resized_positions(positions, side), wanted, atol=1e-6)


@pytest.mark.parametrize("given", ["depth", "width"])
def test_another_network_is_refused(onnx_file: bytes, given: str) -> None:
    arguments = {"width": WIDTH, "depth": DEPTH} | ({"depth": 3} if given == "depth" else {"width": 384})
    with pytest.raises(ValueError, match="of another network"):
        encoder_weights(onnx_file, side=16, **arguments)


@pytest.mark.parametrize("content", [b"no ONNX file", onnx.ModelProto().SerializeToString()])
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="ONNX file"):
        encoder_weights(content, width=WIDTH, depth=DEPTH, side=16)
