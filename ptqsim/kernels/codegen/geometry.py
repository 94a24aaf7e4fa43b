"""The size of a tile: how many rows and columns of the result one group of registers holds."""

ROWS = 8
COLUMNS = 96
