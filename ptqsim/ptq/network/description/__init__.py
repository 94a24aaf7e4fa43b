"""Descriptions of a network, by which a checkpoint finds out whether it belongs to it.

Nothing here changes or runs a network.
"""
