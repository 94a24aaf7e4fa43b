"""Profiles of libraries: products and the requantization of fully connected layers."""

from __future__ import annotations

from ptqsim.datapath.spec import Accumulator
from ptqsim.profiles.processors import AVX2_U8S8
from ptqsim.profiles.profile import Operand, Profile
from ptqsim.profiles.requantization import Requantization

_ASYMMETRIC_8 = Operand(8, signed=True, zero_point=True)
_WEIGHTS_8 = Operand(8, signed=True, channels=True)
_SYMMETRIC_16 = Operand(16, signed=True)
_WRAP_32 = Accumulator(32, "wrap", zero_point="correction")

# A register of 64 bits holds every sum of K < 2**31 products of 16 and 8 bits, below 2**54; so does one of 63.
_EXACT = Accumulator(63, "wrap")

_TWICE_ROUNDED, _SHORT = Requantization("gemmlowp", "double"), Requantization("short", "double")


def _int8(name: str, source: str, requantization: Requantization) -> Profile:
    """Activations and weights of 8 bits; registers of 32 that wrap."""
    return Profile(name, _ASYMMETRIC_8, _WEIGHTS_8, _WRAP_32, source, _ASYMMETRIC_8, requantization)


def _int16(name: str, source: str, requantization: Requantization, accumulator: Accumulator = _EXACT) -> Profile:
    """Activations of 16 bits, and weights of 8."""
    return Profile(name, _SYMMETRIC_16, _WEIGHTS_8, accumulator, source, _SYMMETRIC_16, requantization)


TFLITE = _int8(
    "TFLITE",
    "LiteRT built-in kernels on x86 with AVX2, without delegates: ruy/kernel_avx2_fma.cc, and "
    "PopulateConvolutionQuantizationParams in kernels/kernel_util.cc",
    Requantization("ruy", "product", by_channel="double"),
)
"""Fully connected layers in int8 by the built-in kernels of TFLite, on x86."""

TFLITE_REFERENCE = _int8(
    "TFLITE_REFERENCE",
    "LiteRT 2 reference kernels (OpResolverType.BUILTIN_REF), from runs",
    Requantization("float64", "double"),
)
"""The same layers by the reference kernels of LiteRT."""

TFLITE_16X8 = _int16(
    "TFLITE_16X8",
    "LiteRT 2, int16 activations, int8 weights and int64 biases: built-in and reference kernels, from runs",
    Requantization("float64", "double"),
)
"""Fully connected layers of int16 activations and int8 weights by TFLite: accumulators of 64 bits."""

TFLITE_MICRO = _int8(
    "TFLITE_MICRO",
    "tflite-micro reference kernels: MultiplyByQuantizedMultiplier(int32_t) in lite/kernels/internal/common.cc",
    _TWICE_ROUNDED,
)
"""Fully connected layers in int8 by the reference kernels of tflite-micro."""

TFLITE_MICRO_16X8 = _int16(
    "TFLITE_MICRO_16X8",
    "tflite-micro reference kernels: MultiplyByQuantizedMultiplier(int64_t) in lite/kernels/internal/common.cc",
    _SHORT,
)
"""Fully connected layers of int16 activations, int8 weights and int64 biases by tflite-micro."""

XNNPACK = _int8(
    "XNNPACK",
    "XNNPACK, the default delegate of LiteRT: src/qs8-gemm, minmax fp32",
    Requantization("float32", "single"),
)
"""Fully connected layers in int8 by XNNPACK."""

_EITHER_8 = Operand(8, signed=None, zero_point=True)
_COLUMNS_8 = Operand(8, signed=None, zero_point=True, channels=True)

ONNXRUNTIME = Profile(
    "ONNXRUNTIME", _EITHER_8, _COLUMNS_8, _WRAP_32,
    "ONNX Runtime, CPU: core/providers/cpu/quantization/quantize_linear_matmul.cc, and MlasRequantizeOutput",
    _EITHER_8, Requantization("float32", "single"),
)  # fmt: skip
"""QLinearMatMul of ONNX Runtime where products are exact: all but u8 times s8 on x86 without VNNI."""

ONNXRUNTIME_AVX2 = Profile(
    "ONNXRUNTIME_AVX2", AVX2_U8S8.a, AVX2_U8S8.b, AVX2_U8S8.accumulator,
    "ONNX Runtime on x86 with AVX2 and without VNNI: core/mlas/lib/x86_64/QgemmU8X8KernelAvx2.S; else ONNXRUNTIME",
    _EITHER_8, ONNXRUNTIME.requantization,
)  # fmt: skip
"""QLinearMatMul of ONNX Runtime for u8 times s8 on x86 without VNNI, where pairs saturate."""

CMSIS_NN_S16S8 = _int16(
    "CMSIS_NN_S16S8",
    "CMSIS-NN: Source/NNSupportFunctions/arm_nn_vec_mat_mult_t_s16.c and arm_nn_requantize_s64",
    _SHORT,
)
"""Layers of CMSIS-NN with int16 activations, int8 weights and int64 biases: accumulators of 64 bits."""

CMSIS_NN_S16S8_32 = _int16(
    "CMSIS_NN_S16S8_32",
    "CMSIS-NN: Source/ConvolutionFunctions/arm_nn_mat_mult_kernel_s16.c with is_int32_bias, and arm_nn_requantize",
    _TWICE_ROUNDED,
    Accumulator(32, "wrap"),
)
"""Convolutions of CMSIS-NN with int16 activations, int8 weights and int32 biases: accumulators of 32 bits."""

_UNSIGNED_8 = Operand(8, signed=False, zero_point=True)

GEMMLOWP = Profile(
    "GEMMLOWP", _UNSIGNED_8, _UNSIGNED_8, _WRAP_32,
    "gemmlowp: doc/quantization.md, doc/output.md (OutputStageQuantizeDownInt32ByFixedPoint) and "
    "fixedpoint/fixedpoint.h",
    _UNSIGNED_8, _TWICE_ROUNDED,
)  # fmt: skip
"""Products of unsigned bytes by gemmlowp, with its fixed-point output stage."""
