"""Gate counts of designs, by synthesis with Yosys or as they are kept in the package."""
