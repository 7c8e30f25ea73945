"""Listening to the mirror: a group's typed, validated facts, each once, in order."""

import base64
import binascii
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from candlewick.contracts import codec, control
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError, Fenced, Retryable
from candlewick.kernel.logging import correlated
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.patience import Patience
from candlewick.ports.control import ControlPlane, Notice
from candlewick.ports.log import Position
from candlewick.ports.queue import Delivery
from candlewick.ports.runtime import Event

Handler = Callable[[Event], Awaitable[None]]
_IDS_KEPT: Final = 10_000


class ControlListener:
    """Hands every fact to the handler and acknowledges it when the handler has returned.

    What was handed over before is dropped: by its id, and where a newer word on the same key was handed over already,
    for a control message says how things are, not how they became so. The memory of this is the process's; a handler
    that keeps its state elsewhere compares ``event.position`` with what it keeps. A Retryable of the handler is waited
    out. What cannot be read or is not valid, and what the handler raises otherwise, goes to the group's dead letters
    with its code.
    """

    def __init__(
        self,
        *,
        plane: ControlPlane,
        group: str,
        names: Sequence[str],
        handler: Handler,
        clock: Clock,
        metrics: Metrics,
        logger: Any,
        prefetch: int = 10,
    ) -> None:
        self._plane, self._group, self._names = plane, group, frozenset(names)
        self._handler, self._prefetch = handler, prefetch
        self._metrics, self._logger = metrics, logger
        self._patience = Patience(clock, logger, f"listening as {group}")
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._newest: dict[tuple[str, str], Position] = {}

    async def run(self) -> None:
        """Until cancelled. The control plane is the caller's to open and close."""
        while True:
            try:
                async with self._plane.listen(self._group, sorted(self._names), prefetch=self._prefetch) as deliveries:
                    self._patience.over()
                    async for delivery in deliveries:
                        await self._take(delivery)
                return
            except Retryable as error:
                await self._patience.wait(error)

    def check(self) -> str | None:
        """For health: None while it goes on, else what it waits for."""
        return str(self._patience.refusal) if self._patience.refusal is not None else None

    async def _take(self, delivery: Delivery) -> None:
        try:
            await self._settle(delivery)
        except Fenced:
            # Held too long: another listener of the group has it.
            self._logger.warning("a control message went to another listener", id=delivery.command.id)
        except Retryable as error:
            # It comes again; handled or not, that is known here.
            await self._patience.wait(error)

    async def _settle(self, delivery: Delivery) -> None:
        notice = delivery.command
        try:
            event = event_of(notice)
            if notice.name in self._names and self._is_news(notice, event):
                await self._handle(event)
        except Fenced:
            raise
        except Exception as error:
            code = error.code if isinstance(error, CandlewickError) else "HANDLER_FAILED"
            known = isinstance(error, CandlewickError)
            self._logger.error(
                "control message goes to the dead letters",
                group=self._group, code=code, detail=str(error), exc_info=None if known else error,
            )  # fmt: skip
            self._metrics.count("events_dead_total", 1, self._group, notice.name, code)
            await delivery.reject(f"{code}: {error}", requeue=False)
            return
        await delivery.ack()

    async def _handle(self, event: Event) -> None:
        identity = event.envelope.id.hex
        while True:
            try:
                with correlated((event.envelope.correlation_id or event.envelope.id).hex):
                    await self._handler(event)
                break
            except Retryable as error:
                await self._patience.wait(error)
        self._patience.over()
        self._metrics.count("events_consumed_total", 1, self._group, event.topic)
        self._newest[event.topic, event.envelope.key] = event.position
        self._ids[identity] = None
        if len(self._ids) > _IDS_KEPT:
            self._ids.popitem(last=False)

    def _is_news(self, notice: Notice, event: Event) -> bool:
        newest = self._newest.get((event.topic, event.envelope.key))
        if notice.id not in self._ids and (newest is None or event.position > newest):
            return True
        self._metrics.count("events_duplicate_total", 1, self._group, event.topic)
        return False


def event_of(notice: Notice) -> Event:
    """The event that a notice tells of. Raises UnknownMessage, BadPayload, BadControlMessage."""
    try:
        header = base64.b64decode(notice.headers["envelope"], validate=True)
        topic, partition = notice.headers["topic"], int(notice.headers["partition"])
        epoch, offset = map(int, notice.headers["position"].split(":"))
        ts_append = int(notice.headers["ts_append"])
    except (KeyError, ValueError, binascii.Error):
        raise control.BadControlMessage(
            f"a control message must carry its envelope and its place in the log, was {dict(notice.headers)!r:.200}"
        ) from None
    envelope = codec.decode_envelope(header)
    message = codec.decode(envelope.type, notice.body)
    control.validate(message)
    if control.name_of(message) != notice.name or envelope.id.hex != notice.id or message.key != envelope.key:
        raise control.BadControlMessage(
            f"name, id and key must be those of the {envelope.type} inside, was {notice.name!r} {notice.id!r}"
        )
    return Event(topic, partition, Position(epoch, offset), envelope, message, ts_append)
