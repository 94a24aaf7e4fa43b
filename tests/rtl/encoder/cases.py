"""A network of one small encoder block, made by hand, and images for it."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim import integer_only as io
from ptqsim import units

TOKENS, CHANNELS, HEADS, HIDDEN = 4, 6, 2, 8
EACH = CHANNELS // HEADS
IMAGE = (3, 2, 6)
CODES = pq.Uniform(5, 0.1)
STREAM = pq.Uniform(10, 0.01)
PRODUCTS = ("attn.qkv", "attn.matmul_qk", "attn.matmul_pv", "attn.proj", "mlp.fc1", "mlp.fc2")


def small_plan(blocks: int = 1, seed: int = 0) -> io.Plan:
    """Encoder blocks of 3 patches and a class token, 6 channels and 2 heads, whose softmaxes differ; then 6 logits."""
    rng = np.random.default_rng(seed)
    steps: list[io.Step] = [
        io.Move("patches", "pixels", (io.Reshape((3, 1, 2, 3, 2)), io.Transpose((1, 3, 0, 2, 4)), io.Reshape((3, 12)))),
        io.Product("embed", "patches", weights=(_weights(rng, 12, CHANNELS),)),
        io.Move("tokens", "embed", (io.Pad(0, 1),)),
        io.Combine("positions", ("tokens",), ((1,),), rng.integers(-9000, 9000, (TOKENS, CHANNELS))),
        io.Apply("embedding", ("positions",), (units.Rescale.from_real(2e-4, STREAM, acc_bits=18),)),
    ]
    stream = "embedding"
    for block in range(blocks):
        stream = _add_block(steps, f"blocks.{block}.", stream, rng)
    steps += [
        io.Move("head.token", stream, (io.Take(0, 0, 1), io.Reshape((CHANNELS,)))),
        io.Apply("norm", ("head.token",), (_norm(rng),)),
        io.Product("head", "norm", weights=(_weights(rng, CHANNELS, 6),)),
        io.Combine("logits", ("head",), ((1,),), np.arange(6), 0.5),
    ]
    return io.Plan(tuple(steps), IMAGE, (0.5,) * 3, (0.5,) * 3, 0.5)


def _add_block(steps: list[io.Step], name: str, stream: str, rng: np.random.Generator) -> str:
    part = (io.Reshape((TOKENS, 3, HEADS, EACH)), io.Transpose((1, 2, 0, 3)))

    def heads(which: int) -> tuple[io.Move, io.Apply]:
        letter = "qkv"[which]
        rescales = tuple(
            units.Rescale.from_real(0.02, pq.Uniform(5, 0.1 * (head + 2)), rng.normal(0, 0.2, EACH), 12)
            for head in range(HEADS)
        )  # fmt: skip
        moves = (*part, io.Take(0, which, which + 1), io.Reshape((HEADS, TOKENS, EACH)))
        return (
            io.Move(f"{name}attn.{letter}.heads", f"{name}attn.qkv", moves),
            io.Apply(f"{name}attn.{letter}", (f"{name}attn.{letter}.heads",), rescales),
        )

    softmaxes = tuple(
        units.Softmax.from_real(0.05, pq.TwinSoftmax(5, 4 - head), TOKENS, 12, entries=16, table_bits=8)
        for head in range(HEADS)
    )  # fmt: skip
    gelu = units.GELU.from_real(0.02, pq.Uniform(5, 0.2), pq.TwinGELU(5, 2, 0.05), rng.normal(0, 0.2, HIDDEN), 12)
    values = units.Rescale.from_real(4e-3, CODES, acc_bits=15)
    added = [
        units.ResidualAdd.from_real(0.01, rng.uniform(0.002, 0.01, CHANNELS), STREAM, x_bits=10, acc_bits=14)
        for _ in range(2)
    ]  # fmt: skip
    steps += [
        io.Apply(f"{name}norm1", (stream,), (_norm(rng),)),
        io.Product(
            f"{name}attn.qkv", f"{name}norm1", weights=tuple(_weights(rng, CHANNELS, CHANNELS) for _ in range(3))
        ),
        *heads(0), *heads(1), *heads(2),
        io.Product(f"{name}attn.matmul_qk", f"{name}attn.q", f"{name}attn.k", transposed=True),
        io.Apply(f"{name}attn.softmax", (f"{name}attn.matmul_qk",), softmaxes),
        io.Product(f"{name}attn.matmul_pv", f"{name}attn.softmax", f"{name}attn.v"),
        io.Apply(f"{name}attn.values", (f"{name}attn.matmul_pv",), (values,)),
        io.Move(f"{name}attn.merged", f"{name}attn.values", (io.Transpose((1, 0, 2)), io.Reshape((TOKENS, CHANNELS)))),
        io.Product(f"{name}attn.proj", f"{name}attn.merged", weights=(_weights(rng, CHANNELS, CHANNELS),)),
        io.Apply(f"{name}add1", (stream, f"{name}attn.proj"), (added[0],)),
        io.Apply(f"{name}norm2", (f"{name}add1",), (_norm(rng),)),
        io.Product(f"{name}mlp.fc1", f"{name}norm2", weights=(_weights(rng, CHANNELS, HIDDEN),)),
        io.Apply(f"{name}mlp.act", (f"{name}mlp.fc1",), (gelu,)),
        io.Product(f"{name}mlp.fc2", f"{name}mlp.act", weights=(_weights(rng, HIDDEN, CHANNELS),)),
        io.Apply(f"{name}add2", (f"{name}add1", f"{name}mlp.fc2"), (added[1],)),
    ]  # fmt: skip
    return f"{name}add2"


def _norm(rng: np.random.Generator) -> units.LayerNorm:
    gains = rng.normal(1, 0.3, CHANNELS)
    return units.LayerNorm.from_real(gains, 0.1, 1e-5, 0.01, CODES, x_bits=10, precision=8)


def _weights(rng: np.random.Generator, k: int, n: int) -> pq.QuantizedArray:
    return pq.QuantizedArray(rng.integers(0, 32, (k, n)), pq.Uniform(5, rng.uniform(0.05, 0.1)))


@cache
def plan(blocks: int = 1) -> io.Plan:
    """The network, made once."""
    return small_plan(blocks)


def pixels(count: int, seed: int = 1) -> NDArray[np.uint8]:
    """Random images."""
    return np.random.default_rng(seed).integers(0, 256, (count, *IMAGE)).astype(np.uint8)
