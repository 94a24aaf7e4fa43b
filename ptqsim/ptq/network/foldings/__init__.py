"""Factors and rotations moved from some parameters of a network into others: the same function, but for rounding.

One module for each kind, behind the protocol of `protocol.py`; `kinds.py` knows all of them.
"""
