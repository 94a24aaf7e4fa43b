"""Kernels for products of blocks: sums of products in tiles, and the registers that these go into.

What a block is, and what its products have to be, is in docs/blocks.md.
"""
