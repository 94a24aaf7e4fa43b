"""Kernels of matrix products: exact, one addition at a time, and prefix sums.

Which of them may run is decided in `ptqsim.gemm`.
"""
