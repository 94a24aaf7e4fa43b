"""A study as its author writes it: the file, its axes, its conditions, and the points that they span.

Nothing here runs or stores anything.
"""
