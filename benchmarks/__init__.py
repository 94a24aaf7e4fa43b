"""How fast the simulator is beside numpy's float32 product, every output checked: the ``ptqsim bench`` command."""
