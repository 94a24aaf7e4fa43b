"""Figures of detectors: what differs between kinds of attention, how wide accumulators must be, what is detected."""
