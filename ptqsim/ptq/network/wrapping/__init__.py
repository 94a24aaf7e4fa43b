"""Replacement of the products of a network by operations.

Refusals are in `ptqsim.ptq.network.admission`.
"""
