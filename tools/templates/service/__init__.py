"""The $name service."""
