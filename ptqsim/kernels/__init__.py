"""Compiled loops over arrays. This package is private.

Nothing here validates its arguments, and nothing here knows formats, accumulators or modes: the layers above turn a
specification into arrays and integers, and choose the loop. Of the rest of ptqsim, only `fingerprint` is imported.
"""
