"""Blocks of codes that share a scale: the format, its arrays, and those that OCP and NVIDIA name.

The datapath of blocks is in `ptqsim.datapath.blocks`.
"""
