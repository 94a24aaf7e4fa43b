"""Block formats: elements that share a scale, as in OCP's Microscaling formats and NVFP4."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.choice import Choice
from ptqsim.common.validation import checked_integer, checked_scale
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.arrays import codes as code_arrays
from ptqsim.formats.arrays.immutable import Constructed, reconstructed
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.floats.minifloat import Minifloat
from ptqsim.formats.floats.named import E4M3
from ptqsim.formats.uniform import Uniform
from ptqsim.kernels.runtime.environment import in_default_environment

MAX_BLOCK: Final = 1 << 16
SCALE_BITS: Final = 8
E8M0_BIAS: Final = 127
E8M0_NAN: Final = 255
E8M0_LARGEST: Final = 254
_LARGEST_EXPONENT: Final = 127


class BlockScale(Choice):
    """Format of the scales of blocks.

    ``e8m0``: 2**(code - 127), and NaN for code 255 (MX 1.0, section 5.4.1). ``e4m3``: the positive codes of E4M3, as in
    NVFP4.
    """

    E8M0 = "e8m0"
    E4M3 = "e4m3"


@dataclass(frozen=True, slots=True)
class Block(Constructed):
    """Block format: elements of one format, a scale for `block` of them along the depth, and perhaps one for all.

    An element stands for aligned * element.step * X * tensor_scale, with the scale X of its block.

    Parameters
    ----------
    element : NumberFormat
        Format of the elements, whose step is a power of two: small floats with scale 1 that saturate, or signed uniform
        codes without a zero point. Other formats can be elements of codes that are there already, as
        `BlockArray.from_plain` has them; nothing is rounded to them.
    block : int
        Elements per scale, 2 to 65536.
    scale : BlockScale or str
        A `BlockScale`, or its name: "e8m0" or "e4m3".
    tensor_scale : float
        Factor of all values, finite and positive; 1 with "e8m0".

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    Sources: OCP Microscaling Formats (MX) 1.0, sections 5 and 6.3; for NVFP4, NVIDIA, "Pretraining Large Language
    Models with NVFP4" (2025), of which the range of values is kept and not the order of float32 operations.
    """

    element: NumberFormat
    block: int = 32
    scale: BlockScale = BlockScale.E8M0
    tensor_scale: float = 1.0

    # Written out, because it takes more types than the fields have.
    def __init__(
        self,
        element: NumberFormat,
        block: int = 32,
        scale: BlockScale | str = BlockScale.E8M0,
        tensor_scale: float = 1.0,
    ) -> None:
        object.__setattr__(self, "element", _checked_element(element))
        object.__setattr__(self, "block", checked_integer("block", block, 2, MAX_BLOCK))
        object.__setattr__(self, "scale", BlockScale.of(scale))
        object.__setattr__(self, "tensor_scale", checked_scale(tensor_scale, "tensor_scale"))
        if self.scale == BlockScale.E8M0 and self.tensor_scale != 1.0:
            raise ValueError(
                f"blocks with E8M0 scales have no tensor_scale, got {self.tensor_scale!r}: the scale of an MX block is "
                "a power of two; leave it out, or take scale='e4m3'"
            )

    @property
    def bits_per_value(self) -> float:
        """Stored bits per value of a full block, its scale included and that of the tensor not."""
        return self.element.storage_bits + SCALE_BITS / self.block

    @property
    def largest_exponent(self) -> int:
        """Exponent emax of the element's largest number: floor(log2(element.real_max))."""
        return math.frexp(self.element.real_max)[1] - 1

    def covering(self, real: ArrayLike) -> Block:
        """The format with the tensor scale that makes the largest scale of a block 448, the largest number of E4M3.

        Parameters
        ----------
        real : array_like
            Reals of the tensor, not all of them zero.

        Raises
        ------
        ValueError
            If the scales are E8M0, or a value is NaN or infinite, or all are zero.
        """
        if self.scale == BlockScale.E8M0:
            raise ValueError("blocks with E8M0 scales have no tensor_scale that could cover anything; leave it at 1")
        largest = np.abs(code_arrays.finite(code_arrays.as_reals(real))).max(initial=0)
        return replace(self, tensor_scale=float(np.float32(float(largest) / (E4M3.real_max * self.element.real_max))))

    @in_default_environment
    def decode_scales(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        """The scales X of codes; NaN for that of NaN.

        Parameters
        ----------
        codes : uint8 array
            Codes of scales.
        """
        if self.scale == BlockScale.E4M3:
            return E4M3.decode(codes)
        scales: NDArray[np.float64] = np.ldexp(1.0, codes.astype(np.int64) - E8M0_BIAS)
        return np.where(codes == E8M0_NAN, np.nan, scales)

    @in_default_environment
    def encode_blocks(self, blocks: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Codes of elements [..., block] and of scales [...] of finite reals [..., block]."""
        self._check_rounds()
        largest = np.abs(blocks).max(axis=-1, initial=0.0)
        if self.scale == BlockScale.E4M3:
            with np.errstate(over="ignore"):  # saturated below, as encoders do with every large value but infinity
                scales = E4M3.encode(largest / self.element.real_max / self.tensor_scale).astype(np.uint8)
                factors = (self.decode_scales(scales) * self.tensor_scale)[..., None]
                quotients = blocks / np.where(factors == 0, np.inf, factors)  # zeros for a scale of zero
            beyond = 2 * self.element.real_max
            return self.element.encode(np.clip(quotients, -beyond, beyond)), scales
        exponents = np.frexp(largest)[1].astype(np.int64) - 1 - self.largest_exponent
        exponents = np.where(largest == 0, -E8M0_BIAS, np.clip(exponents, -E8M0_BIAS, _LARGEST_EXPONENT))
        codes = self.element.encode(np.ldexp(blocks, -exponents[..., None]))
        return codes, (exponents + E8M0_BIAS).astype(np.uint8)

    def to_dict(self) -> dict[str, Any]:
        """The format as plain data. `ptqsim.formats.registry.block_from_dict` is the way back."""
        fields = {"block": self.block, "scale": str(self.scale), "tensor_scale": self.tensor_scale}
        return {"kind": "block", "element": self.element.to_dict()} | fields

    def _check_rounds(self) -> None:
        """Refuse elements that nothing is rounded to by the rule of blocks."""
        if isinstance(self.element, Minifloat):
            return
        if not isinstance(self.element, Uniform) or not self.element.signed or self.element.zero_point:
            raise ValueError(
                f"reals cannot be rounded to blocks of {self.element.short()}; legal are small floats and signed "
                "uniform codes without a zero point: for other formats take BlockArray.from_plain(quantize(real, ...))"
            )

    def __str__(self) -> str:
        element = self.element.name if isinstance(self.element, Minifloat) else self.element.short()
        tensor = "" if self.tensor_scale == 1.0 else f", tensor_scale={self.tensor_scale:.3g}"
        return f"Block(element={element}, block={self.block}, scale={self.scale!r}{tensor})"


def _checked_element(element: object) -> NumberFormat:
    legal = (
        "legal are a Minifloat with scale=1 that saturates, and formats of integers on one grid with one scale, whose "
        "step is a power of two"
    )
    if not isinstance(element, NumberFormat):
        raise ArgumentTypeError(f"the element of a block is {element!r}; {legal}: try ptqsim.E2M1")
    element = reconstructed(element)
    if not element.shift_alignable or element.axis is not None:
        raise ValueError(f"{element} cannot be the element of a block; {legal}, of up to 48 aligned bits")
    if isinstance(element, Minifloat):
        if element.scale != 1.0 or not element.saturate:
            raise ValueError(f"{element} cannot be the element of a block; {legal}")
    elif math.frexp(element.step)[0] != 0.5:
        raise ValueError(f"the elements' scale of {element.scale!r} is no power of two; {legal}")
    return element
