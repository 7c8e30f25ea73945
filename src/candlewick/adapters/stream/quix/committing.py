"""Positions on their way to the brokers while the records are: Quix sends them when all records have arrived."""

from collections.abc import Callable
from typing import Any

from quixstreams.checkpointing.exceptions import CheckpointProducerTimeout


class Overlap:
    """Ends the transactions of one producer of Quix's. Records that do not arrive still take their positions with them:
    the transaction is not committed."""

    def __init__(self, producer: Any, delivered: Callable[[], None]) -> None:
        """``delivered`` is called when all of a commit is with the brokers but its end."""
        self._deliver, self._delivered = producer.flush, delivered
        client = producer._producer
        self._end = client.commit_transaction
        self._is_later = False
        producer.flush, client.commit_transaction = self._flush, self._commit

    def begin(self) -> None:
        """A commit begins: its records are waited for at its end."""
        self._is_later = True

    def _flush(self, timeout: float | None = None) -> int:
        # Who gives partitions up has so long and no longer, and goes by what arrived.
        is_later, self._is_later = self._is_later, False
        return 0 if is_later and timeout is None else self._deliver(timeout)

    def _commit(self, timeout: float | None = None) -> None:
        if missing := self._deliver(timeout):
            raise CheckpointProducerTimeout(f"{missing} records did not reach the brokers in {timeout} s")
        self._delivered()
        self._end(timeout)
