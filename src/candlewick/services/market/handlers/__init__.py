"""Use cases of the market service: following symbols, keeping windows, answering pages of candles."""
