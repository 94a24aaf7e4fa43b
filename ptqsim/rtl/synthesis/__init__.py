"""Gate counts of designs."""
