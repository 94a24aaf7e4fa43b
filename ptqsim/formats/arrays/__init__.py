"""Arrays of codes as plain data: immutable, packed, from and to reals.

Nothing here knows a particular format.
"""
