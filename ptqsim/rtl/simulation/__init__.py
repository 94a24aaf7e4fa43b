"""Simulation of generated modules by CXXRTL, Icarus or Verilator; a simulated module is called like a function."""
