"""Results: the SQLite store, its schema, costs of points, and export to Parquet and CSV.

Nothing here computes a point.
"""
