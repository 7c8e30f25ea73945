"""Schemas of messages, kept where every producer and consumer can look them up."""
