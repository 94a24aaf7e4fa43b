"""Quantized products: their operands, and their execution in float, fake_quant and integer mode.

Nothing here knows which module of a network a product belongs to.
"""
