"""The survey of timm: which of its architectures can be quantized, and what stands against the others.

Nothing here is needed to quantize a network.
"""

from ptqsim.ptq.survey.check import check_models
from ptqsim.ptq.survey.families import entry_points
from ptqsim.ptq.survey.page import page_of
from ptqsim.ptq.survey.verdict import Verdict, installed, read_verdicts, write_verdicts

__all__ = ["Verdict", "check_models", "entry_points", "installed", "page_of", "read_verdicts", "write_verdicts"]
