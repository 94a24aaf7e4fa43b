"""Networks by name: bundled ones, timm's, transformers' DETR, and weights from local files.

Nothing here quantizes.
"""
