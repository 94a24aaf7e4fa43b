"""Overhead of a study.

The work of its points is a stand-in; nothing is calibrated.
"""
