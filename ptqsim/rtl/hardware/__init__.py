"""SystemVerilog, composed module by module from the specification that the simulator takes."""
