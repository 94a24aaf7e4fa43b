"""Tasks: how the outputs of a network are compared, and which gradients that gives.

The task of detectors is in `ptqsim.ptq.network.detr`.
"""
