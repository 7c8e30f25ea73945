"""Trades to candles: the operator, its kernels, and arrays of candles for readers."""
