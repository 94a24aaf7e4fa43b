"""Figures of the simulator that the papers do not have."""
