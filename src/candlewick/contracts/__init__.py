"""Frozen messages, one module per producer, the topic catalogue, and the codec that puts them on the wire."""
