"""Networks without a floating-point number: a plan of integer steps from pixels to logits, and ways to run it.

A plan is a list of steps, each with named inputs and one named output, an edge. `execute` runs it on NumPy arrays with
the kernels of `ptqsim.gemm` and `ptqsim.units`, `reference` in plain Python integers. Nothing here knows torch, or
where a plan comes from (docs/integer_only.md).
"""

from ptqsim.integer_only.edges import Edge
from ptqsim.integer_only.execution import execute
from ptqsim.integer_only.moves import Pad, Reshape, Roll, Take, Transpose
from ptqsim.integer_only.plan import Plan
from ptqsim.integer_only.recomputation import reference
from ptqsim.integer_only.steps import Apply, Combine, Move, Product, Step, Total
from ptqsim.integer_only.stored import plan_from_plain, plan_to_plain

__all__ = [
    "Apply", "Combine", "Edge", "Move", "Pad", "Plan", "Product", "Reshape", "Roll", "Step", "Take", "Total",
    "Transpose", "execute", "plan_from_plain", "plan_to_plain", "reference",
]  # fmt: skip
