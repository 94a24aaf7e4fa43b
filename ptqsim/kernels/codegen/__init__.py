"""Generators of vector code, from which kernels are composed, each with a definition in NumPy.

Nothing here loops over a whole matrix.
"""
