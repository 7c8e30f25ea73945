"""Starts services, feeds their handlers, relays their outboxes, restarts what fails."""
