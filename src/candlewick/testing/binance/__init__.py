"""A Binance of our own, on loopback: spot REST and combined streams, with faults on demand."""
