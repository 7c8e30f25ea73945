"""Importable suites: the laws of each port, for every adapter."""
