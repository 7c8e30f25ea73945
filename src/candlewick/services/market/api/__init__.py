"""HTTP of the market service: hot candles, routes, tables."""
