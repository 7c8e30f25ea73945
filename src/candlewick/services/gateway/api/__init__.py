"""The gateway's own routes, the door, and the description of the whole API."""
