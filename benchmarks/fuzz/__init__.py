"""Damaged files for every reader; see ``python -m benchmarks.fuzz --help``."""
