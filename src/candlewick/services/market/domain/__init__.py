"""Rules of the market service: what is known of a symbol, what a venue lists."""
