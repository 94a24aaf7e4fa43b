"""The work of a task in a worker process: models and data by content, calibration and evaluation.

Nothing here knows the study or the store.
"""
