"""Parts of bounds: extremes of sums, and the widths that hold them.

The bounds themselves are in `ptqsim.datapath.bounds`.
"""
