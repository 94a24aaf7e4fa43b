"""Results of products: the result with its certificate, the ranges of prefix sums, and the report that makes them.

Nothing here chooses a kernel.
"""
