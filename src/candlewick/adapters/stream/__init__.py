"""Runtimes that carry operators."""
