"""Errors of units against the real functions.

No unit needs them.
"""
