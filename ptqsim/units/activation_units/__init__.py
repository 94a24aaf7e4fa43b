"""Formulations of activations, one a module.

Their references are in `ptqsim.units.reference`.
"""
