"""What every candle store needs of rows: checks, identity, the best of an open time, scales."""
