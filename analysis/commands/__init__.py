"""The subcommands that this package adds to ``ptqsim``, through the entry-point group ``ptqsim.commands``."""
