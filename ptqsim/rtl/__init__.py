"""SystemVerilog from the specification that feeds the simulator: generated, simulated, proven, synthesized."""
