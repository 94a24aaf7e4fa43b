"""A quantized network: its operations, their execution in float, fake quantization and integers, the model around them.

Nothing here searches for a scale, reads a data set or knows a model by name.
"""
