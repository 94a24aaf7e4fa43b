"""Small floating-point formats, and those that OCP names.

Blocks that share a scale are in `ptqsim.formats.blocks.block`.
"""
