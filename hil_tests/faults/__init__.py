"""Faults of a line: what each is expected to do (matrix.toml) and how each is provoked (one module per place)."""
