"""Kernels that only calibration uses: sums of errors, outputs of single channels, ranking hinges, ternary descent.

Each is called by one module of `ptqsim.ptq`; those of channels by the three of the search per channel.
"""
