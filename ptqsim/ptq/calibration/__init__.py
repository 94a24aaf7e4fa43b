"""The calibration of a network: methods, folds, layers in parallel or in sequence, rounding, mixed precision, cache.

Scale searches are in `search`, and the calibrated network is in `network`.
"""
