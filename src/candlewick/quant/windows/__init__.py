"""Sliding windows: the newest candles of each timeframe in memory, ready to be read as arrays or as JSON."""
