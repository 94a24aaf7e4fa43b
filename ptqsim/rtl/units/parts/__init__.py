"""Parts that hardware units share: tables, dividers, rounding to a code, stream registers and row buffers."""
