"""Formulations of softmax, one a module.

Their references are in `ptqsim.units.reference`.
"""
