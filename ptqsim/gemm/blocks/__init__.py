"""Products of blocks: validate, bound, choose a kernel for the register, run, report.

The formats are in `ptqsim.formats.blocks`, the registers and the reference in `ptqsim.datapath.blocks`.
"""
