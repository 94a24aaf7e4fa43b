"""Figures and tables of the two papers, and the numbers that the papers print."""
