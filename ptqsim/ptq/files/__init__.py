"""Files of images and tensors, and the folder of what was fetched.

Nothing here knows a network.
"""
