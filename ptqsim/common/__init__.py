"""Used by every layer: checks of arguments, files, JSON, fingerprints, progress.

Nothing here knows a format, a datapath or a network.
"""
