"""Read connections for the reader threads, one each."""

import sqlite3
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from candlewick.adapters._sqlite.logfile import LogFile

T = TypeVar("T")


class Connections:
    """Opens a connection for every thread that asks and closes them together."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []

    def call(self, job: Callable[..., T], args: tuple[Any, ...]) -> T:
        """``job(connection, *args)`` on the calling thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._file.connect()
            self._local.connection = connection
            self._all.append(connection)
        return job(connection, *args)

    def close(self) -> None:
        """Close them; nobody reads any more."""
        for connection in self._all:
            connection.close()
        self._all.clear()
