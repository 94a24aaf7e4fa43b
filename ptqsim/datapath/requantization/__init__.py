"""Requantization of accumulators to codes, and its reference.

Units that do more than that are in `ptqsim.units`.
"""
