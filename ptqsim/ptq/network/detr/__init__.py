"""The detector: transformers' DETR as one function of a tensor, its operations, its loss and the layout of its outputs.

Data sets, training and metrics of detection are in the packages of those names.
"""
