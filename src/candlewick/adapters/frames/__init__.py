"""Raw frames on disk: recordings, the ring archive, and the player that reads both."""
