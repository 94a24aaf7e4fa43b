"""The comparison of all calibration methods."""
