"""Accumulation step by step: the division of the depth, the machine type that is exact, and loaded registers.

Exact products are in the modules above.
"""
