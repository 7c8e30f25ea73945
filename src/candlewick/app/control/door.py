"""The control door of a running ``up``: one request a connection, a line of JSON; the answer is lines of JSON.

A request is ``{"verb": ..., ...}``. Each line of the answer is ``{"said": text}`` on the way, and the last one
``{"done": ...}``, or ``{"error": {"code", "detail", "hint"}}``. Who may open the socket may ask anything: it has the
rights of the data dir's owner.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from candlewick import __version__
from candlewick.app.control.place import NotRunning, Running, announced, began, listening, look
from candlewick.app.profiles.machine import BadDataDir
from candlewick.kernel.errors import CandlewickError, Conflict, Rejected
from candlewick.kernel.logging import logger

_MOST_BYTES: Final = 1 << 16

Say = Callable[[str], None]
#: Answers one verb; what it is told besides the verb, and how it tells of its progress.
Answer = Callable[[Mapping[str, Any], Say], Awaitable[Any]]


class AlreadyRunning(Conflict):
    """Another ``candlewick up`` runs on this data dir."""

    code = "ALREADY_RUNNING"


class ControlRefused(Rejected):
    """The running ``up`` does not know what it was asked for, or broke off."""

    code = "CONTROL_REFUSED"


class AskedFor(CandlewickError):
    """What the other process raised: its code, detail and hint."""

    def __init__(self, code: str, detail: str, hint: str | None) -> None:
        super().__init__(detail, hint=hint)
        self.code = code  # type: ignore[misc]


@asynccontextmanager
async def opened(data_dir: Path, profile: str, address: str, verbs: Mapping[str, Answer]) -> AsyncIterator[None]:
    """The door, for the time of the block. Raises AlreadyRunning."""
    if (other := look(data_dir)) is not None and other.pid != os.getpid():
        raise AlreadyRunning(
            f"process {other.pid} runs on this data dir already, was {str(data_dir)!r}",
            hint="Stop it with 'candlewick stop', or name another with --data-dir",
        )
    with ExitStack() as left:
        try:
            listener = left.enter_context(listening(data_dir))
        except OSError as error:
            raise BadDataDir(
                f"there can be no control socket ({error.strerror or error}), was {str(data_dir)!r}",
                hint="Name another with --data-dir",
            ) from None
        path = str(listener.getsockname())
        running = Running(os.getpid(), began(os.getpid()), profile, __version__, address, path, str(data_dir))
        connections: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            connections.add(task)
            try:
                await _answer(reader, writer, verbs)
            finally:
                connections.discard(task)
                writer.close()

        server = await asyncio.start_unix_server(serve, sock=listener, limit=_MOST_BYTES)
        try:
            with announced(data_dir, running):
                yield
        finally:
            server.close()
            for task in list(connections):
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, verbs: Mapping[str, Answer]) -> None:
    def put(**line: Any) -> None:
        with suppress(OSError, RuntimeError):  # nobody listens any more; the work goes on
            writer.write(json.dumps(line).encode() + b"\n")

    try:
        asked = json.loads(await reader.readline())
        verb = asked["verb"]
    except (ValueError, KeyError, TypeError, OSError):
        return
    try:
        if verb not in verbs:
            raise ControlRefused(f"this process answers to {', '.join(verbs)}, was {verb!r}")
        # Whoever asked may go: a switch that has begun is finished all the same.
        work = asyncio.ensure_future(verbs[verb](asked, lambda text: put(said=text)))
        put(done=await asyncio.shield(work))
    except CandlewickError as error:
        put(error={"code": error.code, "detail": error.detail, "hint": error.hint})
    except Exception as error:
        logger("control").exception("a command failed", verb=verb)
        put(error={"code": CandlewickError.code, "detail": f"{type(error).__name__}: {error}", "hint": None})
    with suppress(OSError):
        await writer.drain()


def ask(running: Running, verb: str, **what: Any) -> Iterator[dict[str, Any]]:
    """The lines of the answer up to ``{"done": ...}``. Blocks. Raises NotRunning, ControlRefused, and AskedFor with
    the code of what the process raised."""
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect(running.control)
    except OSError as error:
        line.close()
        raise NotRunning(
            f"process {running.pid} does not answer at its control socket ({error.strerror}), was {running.control!r}"
        ) from None
    with line, line.makefile("rwb") as stream:
        stream.write(json.dumps({"verb": verb, **what}).encode() + b"\n")
        stream.flush()
        for text in stream:
            told: dict[str, Any] = json.loads(text)
            if (refusal := told.get("error")) is not None:
                raise AskedFor(refusal["code"], refusal["detail"], refusal["hint"])
            yield told
            if "done" in told:
                return
    raise ControlRefused(f"process {running.pid} ended before it had answered {verb!r}")
