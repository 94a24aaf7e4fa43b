"""Figures of detectors: differences between kinds of attention, widths of accumulators, and detections."""
