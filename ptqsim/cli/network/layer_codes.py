"""The codes of one layer of a calibrated file, and where they come from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ptqsim as pq
from ptqsim.cli.framework import places
from ptqsim.cli.framework.options import load_calibrated
from ptqsim.common import fingerprint

if TYPE_CHECKING:
    from ptqsim.datapath.blocks.registers import BlockRegister
    from ptqsim.ptq import QuantizedModel
    from ptqsim.ptq.network.products.blocked import AnyArray

LayerArgument = Annotated[Path | None, typer.Argument(parser=places.path, help="What ptqsim calibrate -o wrote.")]
LayerOption = Annotated[str | None, typer.Option("--layer", help="Layer of the calibrated model.")]
GroupOption = Annotated[int, typer.Option("--group", min=0, help="Its head, or part of a qkv layer.")]
ImagesOption = Annotated[int, typer.Option("--images", min=1, help="Images to run, for a layer.")]


@dataclass(frozen=True)
class CalibratedLayer:
    """A layer of a calibrated file.

    Attributes
    ----------
    file : Path
    quantized : ptqsim.ptq.QuantizedModel
    name : str
    """

    file: Path
    quantized: QuantizedModel
    name: str

    @classmethod
    def open(cls, file: Path, name: str | None) -> CalibratedLayer:
        """The layer of that name; a ValueError if there is none."""
        quantized = load_calibrated(file)
        if name is None:
            raise ValueError(f"no layer was given: try --layer {next(iter(quantized.layers))}")
        quantized.layer(name)
        return cls(file, quantized, name)

    @property
    def has_blocks(self) -> bool:
        """True if an operand has a block format."""
        return self.quantized.layer(self.name).has_blocks

    @property
    def zero_point(self) -> pq.ZeroPoint | None:
        """Place where zero points are subtracted; None where the layer has none."""
        return self.quantized.datapaths.get(self.name)

    @property
    def register(self) -> BlockRegister:
        """Register of its products of blocks."""
        return self.quantized.layer(self.name).integer.register

    def codes(
        self, group: int, data: str, images: int, seed: int
    ) -> tuple[pq.QuantizedArray, pq.QuantizedArray, Mapping[str, Any]]:
        """Operands [..., M, K] and [..., K, N] on some images, and their origin as plain data."""
        from ptqsim.ptq.network.products.blocked import plain_codes

        a, b, source = self._recorded(group, data, images, seed)
        plain_a, plain_b = plain_codes((a, b))
        return plain_a, plain_b, source

    def blocks(
        self, group: int, data: str, images: int, seed: int
    ) -> tuple[pq.BlockArray, pq.BlockArray, Mapping[str, Any]]:
        """Operands [M, K] and [K, N] on some images, and their origin as plain data.

        Raises
        ------
        ValueError
            If the layer multiplies several pairs of matrices, as attention does for every image.
        """
        a, b, source = self._recorded(group, data, images, seed)
        assert isinstance(a, pq.BlockArray)
        assert isinstance(b, pq.BlockArray)
        if math.prod(b.shape[:-2]) > 1:
            raise ValueError(
                f"{self.name} has {math.prod(b.shape[:-2])} products of blocks for {images} images; legal is one: try "
                "--images 1"
            )
        return as_matrix(a), as_matrix(b), source

    def _recorded(self, group: int, data: str, images: int, seed: int) -> tuple[AnyArray, AnyArray, Mapping[str, Any]]:
        from ptqsim import ptq
        from ptqsim.ptq.evaluation.record import record_codes

        dataset = ptq.load_data(data, self.quantized.model)
        a, b = record_codes(self.quantized, ptq.sample_images(dataset, images, seed), self.name, group)
        source = {
            "kind": "layer",
            "calibrated": self.file.name,
            "calibrated_sha256": fingerprint.file(self.file),
            "layer": self.name,
            "group": group,
            "data": dataset.name,
            "data_fingerprint": dataset.fingerprint_of(ptq.sample_indices(dataset, images, seed)),
            "images": images,
            "seed": seed,
        }
        return a, b, source


def as_matrix(blocks: pq.BlockArray) -> pq.BlockArray:
    """The lines of an array with blocks along one axis, one after the other."""
    codes, scales = blocks.codes, blocks.scales
    lines = codes.reshape(-1, *codes.shape[-2:]), scales.reshape(-1, scales.shape[-1])
    return pq.BlockArray(*lines, blocks.format, blocks.depth, blocks.axis)


def first_lines(blocks: pq.BlockArray, count: int | None) -> pq.BlockArray:
    """The first rows of a left operand, or columns of a right one."""
    return pq.BlockArray(blocks.codes[:count], blocks.scales[:count], blocks.format, blocks.depth, blocks.axis)


def refuse(options: Mapping[str, object], why: str) -> None:
    """A ValueError if any of the options, by name, was given."""
    given = [option for option, value in options.items() if value is not None]
    if given:
        raise ValueError(f"{why}: leave {', '.join(given)} out")
