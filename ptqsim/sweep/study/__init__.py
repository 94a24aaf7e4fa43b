"""The definition of a study: its file, axes and conditions, and the points that result from them.

Nothing here runs or stores anything.
"""
