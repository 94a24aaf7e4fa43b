"""Rotations of the channels between linear layers: the matrices, where they are exact, and the fold that makes them.

What moves them into the parameters of a network is in `ptqsim.ptq.network.wrapping.rotating`.
"""
