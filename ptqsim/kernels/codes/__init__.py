"""Kernels between reals, codes and aligned integers.

What a code means is defined in `ptqsim.formats`.
"""
