"""The mirror: what compacted topics of the log say of the world, told on over the control plane."""

import base64
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from candlewick.app.runtime.measured_log import MeasuredLog
from candlewick.contracts import codec, control
from candlewick.contracts.topics import Topic, dead_letters
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError, Corrupt, Fenced, Retryable
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.patience import Patience
from candlewick.ports.control import ControlPlane, Notice
from candlewick.ports.log import Consumer, EventLog, LogCorrupt, NewRecord, Producer, Record

GROUP: Final = "control.mirror"
_SERVICE: Final = "mirror"


class ControlMirror:
    """Publishes every record of the control plane's topics, as the log holds it, at least once and in order per key.

    The group's position is committed after the control plane has confirmed: killed between the two, the next mirror
    publishes again, under the same ids, and listeners drop what they have seen. Several processes may run one; they
    divide the partitions. A record that cannot be read, or says what cannot be, goes to the topic's dead letters with
    the reason. Deletion markers are passed over: what is deleted was told of by a message before.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        plane: ControlPlane,
        member: str,
        clock: Clock,
        metrics: Metrics,
        logger: Any,
        topics: Sequence[Topic] = control.TOPICS,
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``member`` is stable across restarts of the same process. ``on_step`` is told ``published`` between confirm
        and commit, and ``committed``; tests kill there."""
        self._log, self._plane, self._member = MeasuredLog(log, _SERVICE, metrics, clock), plane, member
        self._clock, self._metrics, self._logger = clock, metrics, logger
        self._topics = {topic.name: topic for topic in topics}
        self._on_step = on_step
        self._producer: Producer | None = None
        self._patience = Patience(clock, logger, "the mirror")

    async def run(self) -> None:
        """Until cancelled. Log and control plane are the caller's to open and close."""
        async with self._log.measured():
            await self._run()

    async def _run(self) -> None:
        consumer = await self._joined()
        try:
            while True:
                try:
                    await self._mirror(consumer)
                except Fenced:
                    # The partitions are another mirror's, which publishes again what was not committed.
                    self._logger.info("another mirror has taken over", group=GROUP)
                    await consumer.close()
                    consumer = await self._joined()
                except Retryable as error:
                    await self._patience.wait(error)
                else:
                    self._patience.over()
        finally:
            for one in (consumer, self._producer):
                if one is not None:
                    with suppress(CandlewickError):
                        await one.close()

    def check(self) -> str | None:
        """For health: None while it goes on, else what it waits for."""
        return str(self._patience.refusal) if self._patience.refusal is not None else None

    async def _joined(self) -> Consumer:
        while True:
            try:
                return await self._log.consumer(list(self._topics), group=GROUP, member=self._member)
            except Retryable as error:
                await self._patience.wait(error)

    async def _mirror(self, consumer: Consumer) -> None:
        """One batch: published, confirmed, committed. What cannot be published is tried again, never passed over."""
        try:
            records = await consumer.poll()
        except LogCorrupt as error:
            self._logger.error("part of the log is damaged", code=error.code, detail=error.detail)
            self._metrics.count("events_dead_total", 1, _SERVICE, "log", error.code)
            return
        if not records:
            return
        notices = [notice for record in records if (notice := await self._notice(record)) is not None]
        while True:
            try:
                await self._plane.publish(notices)
                self._on_step("published")
                await consumer.commit({(r.topic, r.partition): r.position for r in records})
                break
            except Retryable as error:
                await self._patience.wait(error)
        self._on_step("committed")
        for topic in {record.topic for record in records}:
            count = sum(record.topic == topic for record in records)
            self._metrics.count("events_consumed_total", count, _SERVICE, topic)

    async def _notice(self, record: Record) -> Notice | None:
        """None for a deletion marker, and for what went to the dead letters."""
        if record.value is None:
            return None
        try:
            return notice_of(record, self._topics[record.topic])
        except CandlewickError as error:
            await self._bury(record, error)
            return None

    async def _bury(self, record: Record, fault: CandlewickError) -> None:
        header = codec.dead_letter_header(record.header, code=fault.code, detail=fault.detail)
        letter = NewRecord(
            dead_letters(record.topic), record.key, record.value, codec.encode_envelope(header), record.ts_append
        )
        self._logger.error("control message goes to the dead letters", code=fault.code, detail=fault.detail)
        while True:
            try:
                if self._producer is None:
                    self._producer = await self._log.producer(_SERVICE)
                await self._producer.send([letter])
                break
            except Retryable as error:
                await self._patience.wait(error)
        self._metrics.count("events_dead_total", 1, _SERVICE, record.topic, fault.code)


def notice_of(record: Record, topic: Topic) -> Notice:
    """A record of the log as a notice: the same payload bytes; envelope and place in headers. Raises what makes it no
    control message: UnknownMessage, BadPayload, BadControlMessage."""
    envelope = codec.decode_envelope(record.header)
    message = codec.decode(envelope.type, record.value or b"")
    if not isinstance(message, topic.messages):
        raise control.BadControlMessage(f"{topic.name} does not carry it, was {envelope.type!r}")
    control.validate(message)
    if message.key != record.key:
        raise Corrupt(f"the key of {envelope.type} must be {message.key!r}, was {record.key!r}")
    return Notice(
        envelope.id.hex,
        control.name_of(message),
        record.value or b"",
        {
            "type": envelope.type,
            "key": record.key,
            "topic": record.topic,
            "partition": str(record.partition),
            "position": f"{record.position.epoch}:{record.position.offset}",
            "ts_append": str(record.ts_append),
            "envelope": base64.b64encode(record.header).decode(),
        },
    )
