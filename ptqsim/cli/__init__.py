"""The ``ptqsim`` command: one module per subcommand, thin over the library (needs the extra ``cli``)."""
