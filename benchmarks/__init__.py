"""Benchmarks: one module per question in a folder per suite, run by ``./dev bench SUITE``."""
