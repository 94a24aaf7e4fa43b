"""Folds: exact transformations of the float network that make it easier to quantize, one a module.

A fold decides factors; `ptqsim.ptq.network.foldings` moves them from one parameter into another.
"""
