"""Requantizers: with one multiplier in wires, or with one for every channel from a table."""
