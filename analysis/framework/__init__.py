"""The framework of all figures and tables: artifacts, frames, points, style, options and provenance.

Nothing here knows a particular figure.
"""
