"""The calibration of a network: methods, layers in parallel or in sequence, mixed precision, the layer cache.

Scale searches lie in `search`; what a calibrated network is lies in `network`.
"""
