"""Rotations of the channels between linear layers: the matrices, where they are exact, and the fold that makes them.

`ptqsim.ptq.network.foldings` moves them into the parameters of a network.
"""
