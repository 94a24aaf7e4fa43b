"""Images and labels: bundled scenes, folders, CIFAR and COCO, preprocessed for a network.

Nothing here runs a network.
"""
