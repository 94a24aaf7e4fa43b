"""Programs made from plans of integer-only networks: a golden model in C99.

Nothing here knows torch. `runtime/` holds the files that are the same for every network.
"""

from ptqsim.export.c_model import CModel, write_c_model

__all__ = ["CModel", "write_c_model"]
