"""A quantized network: its operations, how each runs in float, fake quantization and integers, and the model around them.

Nothing here searches for a scale, reads a data set or knows a model by name.
"""
