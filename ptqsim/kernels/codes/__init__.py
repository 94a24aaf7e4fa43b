"""Kernels between reals, codes and aligned integers.

The meaning of codes is defined in `ptqsim.formats`.
"""
