"""Proofs: z3 for the arithmetic, the SAT solver of Yosys for the circuits, and counterexamples to be replayed."""
