"""The admission of networks: checks that accept a network, or refuse it with the reason.

Nothing here changes a network.
"""
