"""PyTorch checkpoints made into safetensors files, in a process of their own.

Nothing here unpickles in the process that it is called in.
"""
