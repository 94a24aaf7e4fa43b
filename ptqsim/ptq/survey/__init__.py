"""The survey of timm: which of its architectures can be quantized, and what stands against the others.

Nothing here is needed to quantize a network.
"""
