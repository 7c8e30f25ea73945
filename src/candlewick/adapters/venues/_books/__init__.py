"""Local order books in integers."""
