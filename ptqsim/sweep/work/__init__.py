"""A task as a worker runs it: models and data by content, calibration and evaluation.

Nothing here knows the study or the store.
"""
