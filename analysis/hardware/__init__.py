"""Gate counts of the choices of a datapath, and the accuracy that they buy."""
