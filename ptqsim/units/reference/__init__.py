"""The definition of every unit in plain Python integers, one module each, written to be read.

A function ``trace(unit, row, ...)`` computes one row step by step and gives every named value. Where a kernel, a
circuit or a program in C gives another value, that one is wrong.
"""
