"""Matrix products on a simulated accumulator."""

from ptqsim.gemm.matmul import matmul
from ptqsim.gemm.result import Certificate, MatmulResult

__all__ = ["Certificate", "MatmulResult", "matmul"]
