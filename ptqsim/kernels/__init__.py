"""Compiled loops: private, and aware of arrays and integers only.

Nothing here validates, and nothing here knows a format, an accumulator or a mode by name: the layers above turn a
specification into arrays and limits and pick the loop. This package imports nothing else of ptqsim.
"""
