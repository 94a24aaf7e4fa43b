"""The subcommands of ``ptqsim rtl``: generate, simulate, prove and synthesize.

The hardware itself is in `ptqsim.rtl`.
"""
