"""Quantized outputs of an operation: operands, their products, and the sums over these that objectives are made of.

Nothing here knows a candidate or chooses one.
"""
