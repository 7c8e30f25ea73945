"""Objects as files of a local folder."""

from candlewick.adapters.objects.local.folder import LocalObjects

__all__ = ["LocalObjects"]
