"""Every calibration method beside every other."""
