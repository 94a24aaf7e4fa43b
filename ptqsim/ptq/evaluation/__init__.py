"""The measurement of networks on data: outputs, accuracy, mean average precision, and recomputation with the reference.

Nothing here changes a network.
"""
