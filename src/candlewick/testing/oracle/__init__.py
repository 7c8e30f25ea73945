"""Slow and obvious twins of fast code, to hold it to."""
