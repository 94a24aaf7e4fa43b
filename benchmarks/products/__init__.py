"""Speed of matrix products, every output checked against an oracle.

Cases, operands, peers and targets; nothing of networks.
"""
