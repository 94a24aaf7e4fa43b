"""Figures for hardware design that are in neither paper."""
