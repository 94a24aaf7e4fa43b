"""Speed of the simulator relative to NumPy's float32 product, every output checked: the ``ptqsim bench`` command."""
