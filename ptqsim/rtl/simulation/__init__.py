"""Generated modules called like functions: by CXXRTL, Icarus or Verilator."""
