"""Operands of a product: their codes, and the layouts that kernels multiply.

Nothing here runs a product.
"""
