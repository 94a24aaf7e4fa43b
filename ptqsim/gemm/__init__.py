"""Matrix products on a simulated accumulator: validate, bound, choose a kernel, run it, and report.

The loops themselves are in `ptqsim.kernels`.
"""

from ptqsim.gemm.multiply import matmul
from ptqsim.gemm.results.result import Certificate, MatmulResult
from ptqsim.gemm.threads import get_num_threads, set_num_threads

__all__ = ["Certificate", "MatmulResult", "get_num_threads", "matmul", "set_num_threads"]
