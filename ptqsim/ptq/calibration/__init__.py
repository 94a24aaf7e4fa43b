"""The calibration of a network: methods, layers in parallel or in sequence, mixed precision, and the cache of finished layers.

Scale searches lie in `search`; what a calibrated network is lies in `network`.
"""
