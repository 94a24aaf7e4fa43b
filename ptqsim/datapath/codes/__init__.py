"""Meaning of single codes in plain Python integers: part of the reference.

Nothing here adds products.
"""
