"""Indicators: one file each in ``library``; batch and stream give the same bits."""
