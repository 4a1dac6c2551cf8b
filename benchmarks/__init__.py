"""Benchmarks of lsdx against the ways it replaces, at the sizes of real recordings."""
