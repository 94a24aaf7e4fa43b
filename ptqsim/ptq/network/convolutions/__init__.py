"""Convolutions as matrix products.

Kinds that are known, and the operation that replaces each.
"""
