"""The laws of a live connection, shared by every venue: subscribe, watch, reconnect, rotate, never stop reading."""
