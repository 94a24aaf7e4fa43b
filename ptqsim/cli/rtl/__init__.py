"""The subcommands of ``ptqsim rtl``: generate, simulate, prove and synthesize.

What hardware is lies in `ptqsim.rtl`.
"""
