"""What all figures and tables share: artifacts, frames, points, style, options and provenance.

Nothing here knows a particular figure.
"""
