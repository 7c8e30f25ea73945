"""Runtimes with one promise broken: ``python -m tools.chaos.mutants NAME up|run ...`` is ``candlewick up|run ...`` so
changed, with all its processes. A run of chaos must tell each from the sound one; nothing of this is in the product."""

import os
import runpy
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.chaos.ground import HOME
from tools.chaos.schedule import KINDS


@dataclass(frozen=True, slots=True)
class Mutant:
    """``only`` and ``faults`` are the schedule that is known to show it; ``shows`` where."""

    meaning: str
    only: str
    faults: int
    shows: tuple[str, ...]
    change: Callable[[], None]


def _put(owner: type, name: str, new: Any) -> None:
    """Instead of what must be there."""
    getattr(owner, name)
    setattr(owner, name, new)


def _position_first() -> None:
    """History commits how far it has read before the rows are stored, as clients do that commit by themselves."""
    from candlewick.services.history.handlers import storing

    sound = storing.Storing._round

    async def turn(self: Any, consumer: Any) -> None:
        if not self._hand:
            self._hand += await consumer.poll(timeout_s=1.0)
            if self._hand:
                newest = storing._newest(self._hand)
                await self._store.append_many([], mark=storing.marks_of(newest))
                await consumer.commit(newest)
        await sound(self, consumer)

    _put(storing.Storing, "_round", turn)


def _no_transactions() -> None:
    """The stream's outputs, changelog and positions go to the brokers each by itself, with no one fenced."""
    from quixstreams.internal_producer import InternalProducer

    from candlewick.adapters.stream.quix import engine

    begun, opened = InternalProducer.__init__, engine.Engine.__init__

    def begin(self: Any, broker_address: Any, extra_config: Any = None, *rest: Any, **more: Any) -> None:
        plain = {k: v for k, v in (extra_config or {}).items() if not k.startswith("transaction")}
        begun(self, broker_address, plain, *rest, **{**more, "transactional": False})

    def open_engine(self: Any, *rest: Any, **more: Any) -> None:
        opened(self, *rest, **more)
        self._context.producer.positions_of = self._consumer

    def commit(self: Any, positions: Any, group: Any, timeout: Any = None) -> None:
        self.flush()
        if positions:
            with suppress(Exception):
                self.positions_of.commit(offsets=positions, asynchronous=False)

    _put(InternalProducer, "__init__", begin)
    _put(InternalProducer, "begin_transaction", lambda self: None)
    _put(InternalProducer, "abort_transaction", lambda self, timeout=None: None)
    _put(InternalProducer, "commit_transaction", commit)
    _put(engine.Engine, "__init__", open_engine)


def _no_changelog() -> None:
    """The stream's state is kept on its own disk only."""
    from quixstreams.state.recovery import ChangelogProducer

    _put(ChangelogProducer, "produce", lambda self, *rest, **more: None)


def _unordered_outbox() -> None:
    """The relay sends what waits in any order."""
    from candlewick.app.runtime import outbox

    sound = outbox.Outbox.relay

    class Backwards:
        """The producer, to whom a batch is handed the wrong way round."""

        def __init__(self, producer: Any) -> None:
            self._producer = producer

        def transaction(self) -> Any:
            from contextlib import asynccontextmanager

            @asynccontextmanager
            async def turned() -> Any:
                async with self._producer.transaction() as out:

                    class Out:
                        def send(self, records: Sequence[Any]) -> None:
                            out.send(list(reversed(records)))

                    yield Out()

            return turned()

    async def relay(self: Any, producer: Any) -> int:
        return await sound(self, Backwards(producer))  # type: ignore[arg-type]

    _put(outbox.Outbox, "relay", relay)


def _no_acks() -> None:
    """Producers do not wait for the brokers to have what they sent."""
    from candlewick.adapters._kafka.options import KafkaOptions

    sound = KafkaOptions.writing

    def writing(self: Any, brokers: str, name: str, transactional_id: str | None) -> dict[str, Any]:
        settings = sound(self, brokers, name, transactional_id)
        if transactional_id is None:
            settings |= {"acks": 0, "enable.idempotence": False}
        return settings

    _put(KafkaOptions, "writing", writing)


def _played_first() -> None:
    """The collector notes how far it has played before the log has it."""
    from candlewick.services.collector.handlers.queue import Writer

    async def drained(self: Any) -> None:
        """Believes it."""

    _put(Writer, "drained", drained)


def _resume_at_newest() -> None:
    """Sockets go on with what is new, whatever the client's token says."""
    from candlewick.services.realtime.handlers import Fanout

    async def resume(self: Any, listener: Any, after: Any) -> list[Any]:
        listener.queue.take()
        return []

    _put(Fanout, "resume", resume)


MUTANTS = {
    "position-first": Mutant(_position_first.__doc__ or "", "kill:history", 4, ("stored",), _position_first),
    "no-transactions": Mutant(
        _no_transactions.__doc__ or "", "hang-broker:stream,pause:stream", 4, ("candles", "subscribers"),
        _no_transactions,
    ),
    "no-changelog": Mutant(_no_changelog.__doc__ or "", "pause:stream", 1, ("candles", "stored"), _no_changelog),
    "unordered-outbox": Mutant(_unordered_outbox.__doc__ or "", "pause:history", 1, ("facts",), _unordered_outbox),
    "no-acks": Mutant(_no_acks.__doc__ or "", "hang-broker:history", 3, ("trades", "candles"), _no_acks),
    "played-first": Mutant(
        _played_first.__doc__ or "", "hang-broker:collector", 3, ("trades", "candles"), _played_first
    ),
    "resume-at-newest": Mutant(
        _resume_at_newest.__doc__ or "", "kill:realtime,cut:realtime", 2, ("subscribers",), _resume_at_newest
    ),
}  # fmt: skip
assert all(entry.split(":")[0] in KINDS for mutant in MUTANTS.values() for entry in mutant.only.split(","))


def main(arguments: Sequence[str]) -> int:
    """``NAME up|run ...``, or ``NAME`` before what an interpreter is given: the supervisor begins its processes with
    the interpreter that runs it, so it is told of one that begins them changed."""
    from candlewick.app.cli.main import main as candlewick

    name, *rest = arguments
    if rest[:1] == ["up"]:
        sys.executable = _interpreter(name)
    elif rest[:1] == ["-m"]:
        MUTANTS[name].change()
        sys.argv = rest[1:]
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
        return 0
    elif rest[:1] != ["run"]:
        os.execv(sys.executable, [sys.executable, *rest])
    MUTANTS[name].change()
    return candlewick(rest)


def _interpreter(name: str) -> str:
    """A program that is this interpreter with the mutant in it."""
    script = Path(tempfile.mkdtemp(prefix="mutant-", dir=HOME / "run")) / "python"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tools.chaos.mutants {name} "$@"\n')
    script.chmod(0o755)
    return str(script)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
