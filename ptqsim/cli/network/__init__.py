"""Commands that need a network: calibrate, evaluate, simulate, verify, export and others.

Each calls the library and prints; no computation of its own.
"""
