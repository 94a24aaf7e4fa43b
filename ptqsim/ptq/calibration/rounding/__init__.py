"""The rounding of weights on the calibration images: by bit splitting, with compensation, or to fit an accumulator.

Rounding that is learned by training is in `reconstruction`; algorithms that need no network are in `ptqsim.fitting`.
"""
