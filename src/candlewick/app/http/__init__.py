"""The HTTP face that every service has in common."""
