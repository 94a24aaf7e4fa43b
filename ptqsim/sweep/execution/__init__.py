"""The execution of a plan: the driver, Dask pools and clusters, estimates of time, and recomputation of points.

What a task computes lies in `work`.
"""
