"""Formats of other publications, for comparison; no datapath here adds their codes.

Formats that a datapath takes are beside this package.
"""
