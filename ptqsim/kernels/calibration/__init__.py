"""Kernels that only calibration uses: sums of errors, ranking hinges, ternary descent.

Each is called by one module of `ptqsim.ptq`.
"""
