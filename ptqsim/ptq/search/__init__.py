"""The scale search: captured tensors, candidate formats, objectives, and the race and alternation that choose.

Nothing here knows a method, a layer's order in the network or a file.
"""
