"""Figures and tables of Liu et al., Post-Training Quantization for Vision Transformer (NeurIPS 2021)."""
