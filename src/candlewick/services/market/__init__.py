"""Price, ticker, candles, windows, symbols."""
