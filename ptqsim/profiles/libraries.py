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

TFLITE = Profile(
    "TFLITE", _ASYMMETRIC_8, _WEIGHTS_8, _WRAP_32,
    "LiteRT built-in kernels on x86 with AVX2, without delegates: ruy/kernel_avx2_fma.cc, and "
    "PopulateConvolutionQuantizationParams in kernels/kernel_util.cc",
    _ASYMMETRIC_8, Requantization("ruy", "product", by_channel="double"),
)  # fmt: skip
"""Fully connected layers in int8 by the built-in kernels of TFLite, on x86."""

TFLITE_REFERENCE = Profile(
    "TFLITE_REFERENCE", _ASYMMETRIC_8, _WEIGHTS_8, _WRAP_32,
    "LiteRT 2 reference kernels (OpResolverType.BUILTIN_REF), from runs",
    _ASYMMETRIC_8, Requantization("float64", "double"),
)  # fmt: skip
"""The same layers by the reference kernels of LiteRT."""

TFLITE_16X8 = Profile(
    "TFLITE_16X8", _SYMMETRIC_16, _WEIGHTS_8, _EXACT,
    "LiteRT 2, int16 activations, int8 weights and int64 biases: built-in and reference kernels, from runs",
    _SYMMETRIC_16, Requantization("float64", "double"),
)  # fmt: skip
"""Fully connected layers of int16 activations and int8 weights by TFLite: accumulators of 64 bits."""

TFLITE_MICRO = Profile(
    "TFLITE_MICRO", _ASYMMETRIC_8, _WEIGHTS_8, _WRAP_32,
    "tflite-micro reference kernels: MultiplyByQuantizedMultiplier(int32_t) in lite/kernels/internal/common.cc",
    _ASYMMETRIC_8, Requantization("gemmlowp", "double"),
)  # fmt: skip
"""Fully connected layers in int8 by the reference kernels of tflite-micro."""

TFLITE_MICRO_16X8 = Profile(
    "TFLITE_MICRO_16X8", _SYMMETRIC_16, _WEIGHTS_8, _EXACT,
    "tflite-micro reference kernels: MultiplyByQuantizedMultiplier(int64_t) in lite/kernels/internal/common.cc",
    _SYMMETRIC_16, Requantization("short", "double"),
)  # fmt: skip
"""Fully connected layers of int16 activations, int8 weights and int64 biases by tflite-micro."""

XNNPACK = Profile(
    "XNNPACK", _ASYMMETRIC_8, _WEIGHTS_8, _WRAP_32,
    "XNNPACK, the default delegate of LiteRT: src/qs8-gemm, minmax fp32",
    _ASYMMETRIC_8, Requantization("float32", "single"),
)  # fmt: skip
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

CMSIS_NN_S16S8 = Profile(
    "CMSIS_NN_S16S8", _SYMMETRIC_16, _WEIGHTS_8, _EXACT,
    "CMSIS-NN: Source/NNSupportFunctions/arm_nn_vec_mat_mult_t_s16.c and arm_nn_requantize_s64",
    _SYMMETRIC_16, Requantization("short", "double"),
)  # fmt: skip
"""Layers of CMSIS-NN with int16 activations, int8 weights and int64 biases: accumulators of 64 bits."""

CMSIS_NN_S16S8_32 = Profile(
    "CMSIS_NN_S16S8_32", _SYMMETRIC_16, _WEIGHTS_8, Accumulator(32, "wrap"),
    "CMSIS-NN: Source/ConvolutionFunctions/arm_nn_mat_mult_kernel_s16.c with is_int32_bias, and arm_nn_requantize",
    _SYMMETRIC_16, Requantization("gemmlowp", "double"),
)  # fmt: skip
"""Convolutions of CMSIS-NN with int16 activations, int8 weights and int32 biases: accumulators of 32 bits."""

GEMMLOWP = Profile(
    "GEMMLOWP", Operand(8, signed=False, zero_point=True), Operand(8, signed=False, zero_point=True), _WRAP_32,
    "gemmlowp: doc/quantization.md, doc/output.md (OutputStageQuantizeDownInt32ByFixedPoint) and "
    "fixedpoint/fixedpoint.h",
    Operand(8, signed=False, zero_point=True), Requantization("gemmlowp", "double"),
)  # fmt: skip
"""Products of unsigned bytes by gemmlowp, with its fixed-point output stage."""
