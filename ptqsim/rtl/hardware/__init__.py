"""SystemVerilog modules, generated from formats, accumulators and requantizers.

Nothing here calls a tool.
"""
