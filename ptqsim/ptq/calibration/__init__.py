"""The calibration of a network: methods, layers in parallel or in sequence, mixed precision, the layer cache.

Scale searches are in `search`, and the calibrated network is in `network`.
"""
