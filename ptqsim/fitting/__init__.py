"""Weights that fit a register: integer codes for which no input can overflow it (docs/fitted_weights.md).

Limits on the weights of one output, the nearest codes within them, codes rounded within them with compensation, and the
certificate by the weight-aware bound. Nothing here knows a network.
"""

from ptqsim.fitting.certificates import certificate, fits, register_widths
from ptqsim.fitting.fit import fit_weights
from ptqsim.fitting.limits import Limit, register_limits
from ptqsim.fitting.rounding import round_weights

__all__ = ["Limit", "certificate", "fit_weights", "fits", "register_limits", "register_widths", "round_weights"]
