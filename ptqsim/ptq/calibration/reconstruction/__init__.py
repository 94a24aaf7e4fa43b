"""Reconstruction: a quantized network trained part by part to give what the float network gives.

Scales, rounding and biases are learned by gradients; what comes out are formats and codes like those of a search.
"""
