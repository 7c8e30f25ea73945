"""The fork server: loads what the services' processes load, then forks one for each order, while somebody orders.

Run by ``forkserver.ForkServer`` as ``python -m candlewick.app.cli.forking DESCRIPTOR EXCHANGE``. It has one thread,
no event loop, no connection and no file but the line to the supervisor: what is forked from it is as good as new.
"""

import contextlib
import gc
import os
import selectors
import socket
import sys
from importlib import import_module
from typing import Final

import msgspec

from candlewick.app.cluster.forkserver import MOST, News, Order

# What services of a cluster import as they begin, beside their own modules: adapters with their clients, and what
# libraries put off. Where one is missing, whoever needs it says so.
_BESIDE: Final = (
    "candlewick.adapters.cache.redis",
    "candlewick.adapters.cache.revalidating",
    "candlewick.adapters.candles.postgres",
    "candlewick.adapters.db.postgres",
    "candlewick.adapters.jobs.pool",
    "candlewick.adapters.log.kafka",
    "candlewick.adapters.objects.s3",
    "candlewick.adapters.queue.rabbitmq",
    "candlewick.adapters.schemas.registry",
    "candlewick.adapters.stream.quix.engine",
    "candlewick.adapters.stream.quix.restoring",
    "candlewick.app.cli.run",
    "candlewick.app.http.lines",
    "candlewick.app.http.page",
    "candlewick.app.http.server",
    "candlewick.app.profiles.cluster",
    "candlewick.app.runtime.host",
    "candlewick.app.runtime.mirror",
    "candlewick.app.runtime.mirror_seeds",
    "candlewick.app.runtime.mirror_windows",
    "alembic.command",
    "anyio._backends._asyncio",
    "anyio.streams.tls",
    "httpcore",
    "mako.template",
    "numpy.ma",
    "obstore.store",
    "pydantic.v1",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvloop",
)


def load(exchange: str) -> None:
    """Everything that the services' processes have in common, and what each has alone."""
    from candlewick.app import kernels, registry

    for name in registry.SERVICES:
        registry.load(name)
    for module in (*_BESIDE, f"candlewick.adapters.venues.{exchange}"):
        with contextlib.suppress(ImportError):
            import_module(module)
    kernels.warm(exchange)


class Forks:
    """Takes orders at ``line``."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._selector = selectors.DefaultSelector()
        self._selector.register(line, selectors.EVENT_READ)

    def serve(self) -> list[str] | None:
        """Returns what a forked process shall run, in that process; None in this one, when nobody is there any more."""
        self._tell(News(order=0))
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._bury(key.data, key.fd)
                    continue
                piece, descriptors, _, _ = socket.recv_fds(self._line, MOST, 2, socket.MSG_CMSG_CLOEXEC)
                if not piece:
                    return None
                order = msgspec.json.decode(piece, type=Order)
                if self._fork(order):
                    return _become(order, *descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)

    def _fork(self, order: Order) -> bool:
        """Whether this is the new process."""
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(News(order=order.number, error=error.errno or 1))
            return False
        if pid == 0:
            for key in list(self._selector.get_map().values()):
                os.close(key.fd)
            self._line.detach()
            self._selector.close()
            return True
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
        self._tell(News(order=order.number, pid=pid))
        return False

    def _bury(self, pid: int, handle: int) -> None:
        self._selector.unregister(handle)
        os.close(handle)
        _, status = os.waitpid(pid, 0)
        self._tell(News(pid=pid, status=os.waitstatus_to_exitcode(status)))

    def _tell(self, news: News) -> None:
        with contextlib.suppress(ConnectionError):  # nobody is there to hear; the next read says so
            self._line.send(msgspec.json.encode(news))


def _become(order: Order, handover: int, output: int) -> list[str]:
    """Be the process that was ordered; returns what follows the command line's own name."""
    os.setsid()
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    os.environ |= order.env
    given = order.command[order.command.index("run") :]
    _title(f"candlewick {' '.join(given[:2])}")
    return [*given, "--handover", str(handover)]


def _title(text: str) -> None:
    """What ``ps`` shows. The environment stays where it can be read: without room of its own a title has the length of
    this program's arguments."""
    os.environ["SPT_NOENV"] = "1"
    with contextlib.suppress(ImportError):
        from setproctitle import setproctitle

        setproctitle(text)


def main() -> int:
    """Both the fork server's life and that of each process that it becomes."""
    line = socket.socket(fileno=int(sys.argv[1]))
    line.set_inheritable(False)
    load(sys.argv[2])
    # What is there stays: the collector's marks would copy its memory into every process.
    gc.collect()
    gc.freeze()
    command = Forks(line).serve()
    if command is None:
        return 0
    from candlewick.app.cli import main as command_line

    return command_line.main(command)


if __name__ == "__main__":
    sys.exit(main())
