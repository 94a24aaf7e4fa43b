"""Names that tests are made of, written out so that collecting the tests imports no network."""

from __future__ import annotations

BUNDLED = ("deit_digits", "swin_digits", "vit_digits")
METHODS = ("base_ptq", "bit_split", "easyquant", "liu2021", "percentile", "ptq4vit", "ptq4vit_plus", "reconstruct")
OBJECTIVES = ("mse", "cosine", "pearson", "similarity", "hessian")
