"""Arrays in, arrays out: NumPy, SciPy and numba, no labels, no files."""
