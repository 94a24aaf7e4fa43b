"""The ``ptqsim`` command: one short module per subcommand that calls the library (needs the extra ``cli``)."""
