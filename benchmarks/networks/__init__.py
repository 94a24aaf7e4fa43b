"""Time of calibrations and of whole networks.

The only benchmarks that need torch, beside that of studies.
"""
