"""Files of candles and trades as they are found in the wild, read and written."""
