"""Integer units between the matrix products of a network: rescaling, residual sums, LayerNorm, softmax, activations.

Every unit is a frozen dataclass of integer constants, with a definition in docs/units/, a reference in Python integers
and a kernel that equals it. Nothing here knows a network.
"""

from ptqsim.units.activation_units.activation import GELU, Activation, QuickGELU, ReLU, SiLU
from ptqsim.units.activation_units.i_gelu import IGELU
from ptqsim.units.activation_units.shift_gelu import ShiftGELU
from ptqsim.units.constants import Multiplier
from ptqsim.units.errors_of_units.accuracy import greatest_error, steps
from ptqsim.units.interval import Interval
from ptqsim.units.layer_norm import LayerNorm
from ptqsim.units.protocol import Input, Unit
from ptqsim.units.reference.layer_norm import RootMethod
from ptqsim.units.registry import UNITS, from_dict
from ptqsim.units.rescale import Rescale
from ptqsim.units.residual_add import ResidualAdd
from ptqsim.units.softmax_units.i_exp_softmax import IExpSoftmax
from ptqsim.units.softmax_units.ita_softmax import ITASoftmax
from ptqsim.units.softmax_units.running_softmax import RunningSoftmax
from ptqsim.units.softmax_units.shiftmax import Shiftmax
from ptqsim.units.softmax_units.softmax import Softmax
from ptqsim.units.softmax_units.softmax_unit import Division, DivisionMethod, SoftmaxUnit
from ptqsim.units.softmax_units.tflite_softmax import TFLiteSoftmax

__all__ = [
    "GELU", "IGELU", "UNITS", "Activation", "Division", "DivisionMethod", "IExpSoftmax", "ITASoftmax", "Input",
    "Interval", "LayerNorm", "Multiplier", "QuickGELU", "ReLU", "Rescale", "ResidualAdd", "RootMethod",
    "RunningSoftmax", "ShiftGELU", "Shiftmax", "SiLU", "Softmax", "SoftmaxUnit", "TFLiteSoftmax", "Unit",
    "from_dict", "greatest_error", "steps",
]  # fmt: skip
