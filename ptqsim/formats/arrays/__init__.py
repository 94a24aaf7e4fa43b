"""Arrays of codes: immutable, packed, from and to reals.

Nothing here knows a particular format.
"""
