"""The admission of networks: the checks that decide whether a network is taken, each naming what stands against it.

Nothing here changes a network.
"""
