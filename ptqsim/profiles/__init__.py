"""Named profiles: the integer arithmetic of deployed processors and libraries, one frozen object each with its source.

What a profile is made of (accumulators, formats, requantizers) lies below; measured comparisons are tests.
"""

from ptqsim.profiles.libraries import CMSIS_NN_S16S8 as CMSIS_NN_S16S8
from ptqsim.profiles.libraries import CMSIS_NN_S16S8_32 as CMSIS_NN_S16S8_32
from ptqsim.profiles.libraries import GEMMLOWP as GEMMLOWP
from ptqsim.profiles.libraries import ONNXRUNTIME as ONNXRUNTIME
from ptqsim.profiles.libraries import ONNXRUNTIME_AVX2 as ONNXRUNTIME_AVX2
from ptqsim.profiles.libraries import TFLITE as TFLITE
from ptqsim.profiles.libraries import TFLITE_16X8 as TFLITE_16X8
from ptqsim.profiles.libraries import TFLITE_MICRO as TFLITE_MICRO
from ptqsim.profiles.libraries import TFLITE_MICRO_16X8 as TFLITE_MICRO_16X8
from ptqsim.profiles.libraries import TFLITE_REFERENCE as TFLITE_REFERENCE
from ptqsim.profiles.libraries import XNNPACK as XNNPACK
from ptqsim.profiles.processors import ARM_SMLAL as ARM_SMLAL
from ptqsim.profiles.processors import AVX2_U8S8 as AVX2_U8S8
from ptqsim.profiles.processors import VNNI_U8S8 as VNNI_U8S8
from ptqsim.profiles.processors import VNNI_U8S8_SATURATE as VNNI_U8S8_SATURATE
from ptqsim.profiles.profile import Operand as Operand
from ptqsim.profiles.profile import Profile as Profile
from ptqsim.profiles.registry import PROFILES as PROFILES
from ptqsim.profiles.registry import named as named
from ptqsim.profiles.requantization import Method as Method
from ptqsim.profiles.requantization import Precision as Precision
from ptqsim.profiles.requantization import Requantization as Requantization
