"""Candlewick: an event-driven crypto trading platform built around one event log."""

__version__ = "0.1.0"
