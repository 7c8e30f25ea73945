"""Trades to candles, exactly once."""
