"""Answers that are served a little old while one caller computes them anew."""

from candlewick.adapters.cache.revalidating.answers import RevalidatingAnswers

__all__ = ["RevalidatingAnswers"]
