"""Adapters that break one law each, to show that the suites see it."""
