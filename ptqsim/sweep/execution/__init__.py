"""The execution of a plan: the driver, Dask pools and clusters, estimates of time, and recomputation of points.

The computation of a task is in `work`.
"""
