"""Products of blocks: the reference, and the registers that its sums go into.

The format is in `ptqsim.formats.blocks.block`.
"""
