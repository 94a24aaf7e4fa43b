"""Search of a scale for every channel of a weight.

Searches of one scale per group are beside this package.
"""
