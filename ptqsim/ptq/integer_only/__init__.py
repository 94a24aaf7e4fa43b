"""From a calibrated network to a plan of integer steps (`ptqsim.integer_only`): what is read, and what is calibrated.

Readers know timm's classes and refuse what has no integer unit; the builder makes steps and constants.
"""
