"""Kernels of matrix products: exact, one addition at a time, and prefix sums.

`ptqsim.gemm` decides which of them may run.
"""
