"""Sockets and event pages of the realtime service."""
