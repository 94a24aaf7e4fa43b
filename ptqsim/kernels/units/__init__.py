"""Kernels of integer units: rows of integers to rows of codes.

The meaning of everything is defined in `ptqsim.units`. All arithmetic is in int64; the layer above proves that nothing
overflows it.
"""
