"""Keeps candles: stores what others build, fetches what is missing, owns the gap ledger, backs itself up."""
