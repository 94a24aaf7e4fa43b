"""Pieces of vector code that kernels are put together from, each with its definition in NumPy.

Nothing here loops over a whole matrix.
"""
