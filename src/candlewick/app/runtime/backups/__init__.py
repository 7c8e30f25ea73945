"""Backups of a service's database and candles: dialect-free files below one folder of an object store, and back."""
