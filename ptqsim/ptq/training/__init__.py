"""The training of the bundled networks: recipes, schedules and the loop.

Nothing here is needed to quantize a network.
"""
