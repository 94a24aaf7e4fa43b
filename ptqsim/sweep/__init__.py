"""Studies: many points, computed once each, in parallel on one machine or on a cluster.

A point is a network with a calibration, on a datapath.
"""
