"""Connections to exchanges: what they send goes to the log."""
