"""Proofs of the arithmetic by z3 and of the circuits by the SAT solver of Yosys; counterexamples can be replayed."""
