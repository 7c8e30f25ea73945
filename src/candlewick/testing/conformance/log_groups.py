"""Laws of groups: partitions divided, handed over in order, taken from the silent."""

import asyncio
from collections.abc import Sequence

from candlewick.kernel.errors import Fenced
from candlewick.kernel.hashing import partition_of
from candlewick.ports.log import Consumer, Position, Record
from candlewick.testing.conformance.log_harness import (
    EVENTS,
    LogHarness,
    by_key,
    expected,
    last_places,
    law,
    numbered,
    refused,
    take,
    until,
)

KEYS = [f"venue:S{i}-USDT" for i in range(12)]
ALL = frozenset((EVENTS.name, partition) for partition in range(EVENTS.partitions))


class _Listener:
    """Writes down what it is told, and commits what was read before partitions go."""

    def __init__(self, name: str, story: list[tuple[str, str, tuple[str, int]]]) -> None:
        self.name = name
        self.story = story
        self.consumer: Consumer | None = None
        self.records: list[Record] = []

    async def assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        self.story += [(self.name, "assigned", place) for place in partitions]

    async def revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        done = {place: at for place, at in last_places(self.records).items() if place in set(partitions)}
        if done and self.consumer is not None:
            await self.consumer.commit(done)
        await asyncio.sleep(0.05)
        self.story += [(self.name, "revoked", place) for place in partitions]

    async def lost(self, partitions: Sequence[tuple[str, int]]) -> None:
        self.story += [(self.name, "lost", place) for place in partitions]

    async def poll(self) -> None:
        """One short poll, written down."""
        assert self.consumer is not None
        self.records += await self.consumer.poll(timeout_s=0.05)


class GroupLaws:
    """Every test takes a fresh harness. Members are consumers of logs opened apart, as processes would be."""

    @law(13)
    async def test_a_group_goes_on_from_its_committed_positions(self, harness: LogHarness) -> None:
        """What was committed is not delivered again, what was not is: after a kill and a restart."""
        log = await harness.open()
        await (await log.producer("p")).send(numbered(KEYS, 10))
        member = await log.consumer([EVENTS.name], group="g", member="a", start="oldest")
        first: list[Record] = []
        while len(first) < 60:
            first += await member.poll(max_records=20, timeout_s=0.5)
        await member.commit(last_places(first))
        dropped = await member.poll(max_records=20, timeout_s=0.5)
        assert dropped, "there is more to read"
        await harness.crash(log)
        log = await harness.open()
        member = await log.consumer([EVENTS.name], group="g", member="a", start="oldest")
        rest = await take(member, 120 - len(first))
        assert by_key(first + rest) == expected(KEYS, 10), "committed once and the rest again"
        await log.close()

    @law(13)
    async def test_groups_do_not_touch_each_other(self, harness: LogHarness) -> None:
        """Each group reads everything, whatever another one committed."""
        log = await harness.open()
        await (await log.producer("p")).send(numbered(KEYS, 5))
        for group in ("g", "h"):
            member = await log.consumer([EVENTS.name], group=group, member="a", start="oldest")
            records = await take(member, 60)
            assert by_key(records) == expected(KEYS, 5), f"group {group}"
            await member.commit(last_places(records))
            await member.close()
        await log.close()

    @law(13)
    async def test_members_divide_the_partitions(self, harness: LogHarness) -> None:
        """Two members have all partitions between them, none twice, each some; each record goes to one."""
        logs = [await harness.open() for _ in range(2)]
        members = [
            await log.consumer([EVENTS.name], group="g", member=name, start="oldest")
            for log, name in zip(logs, "ab", strict=True)
        ]

        async def pump() -> None:
            await asyncio.gather(*[member.poll(timeout_s=0.05) for member in members])

        await until(
            lambda: all(m.assignment() for m in members) and sum(len(m.assignment()) for m in members) == len(ALL),
            "both members have partitions",
            pump=pump,
        )
        assert members[0].assignment() | members[1].assignment() == ALL
        await (await logs[0].producer("p")).send(numbered(KEYS, 10))
        got: list[Record] = []

        async def gather() -> None:
            for records in await asyncio.gather(*[member.poll(timeout_s=0.1) for member in members]):
                got.extend(records)

        await until(lambda: len(got) >= 120, "all is read", pump=gather)
        await gather()
        assert by_key(got) == expected(KEYS, 10), f"each record once, was {len(got)} of 120"
        for log in logs:
            await log.close()

    @law(12)
    async def test_partitions_are_revoked_before_another_has_them(self, harness: LogHarness) -> None:
        """A newcomer is assigned a partition only after its owner's ``revoked`` returned; nothing comes twice."""
        logs = [await harness.open() for _ in range(2)]
        story: list[tuple[str, str, tuple[str, int]]] = []
        a, b = _Listener("a", story), _Listener("b", story)
        a.consumer = await logs[0].consumer([EVENTS.name], group="g", member="a", start="oldest", on_assignment=a)
        await until(lambda: a.consumer and a.consumer.assignment() == ALL, "the first has all", pump=a.poll)
        producer = await logs[0].producer("p")
        await producer.send(numbered(KEYS, 20))
        await until(lambda: len(a.records) >= 120, "the first has read half", pump=a.poll)
        b.consumer = await logs[1].consumer([EVENTS.name], group="g", member="b", start="oldest", on_assignment=b)

        async def both() -> None:
            await asyncio.gather(a.poll(), b.poll())

        await until(lambda: b.consumer and len(b.consumer.assignment()) == len(ALL) // 2, "shares are even", pump=both)
        await producer.send(numbered(KEYS, 20, first=20))
        await until(lambda: len(a.records) + len(b.records) >= 480, "all is read", pump=both)
        moved = {place for who, what, place in story if (who, what) == ("b", "assigned")}
        for place in moved:
            events = [(who, what) for who, what, where in story if where == place]
            assert events[:3] == [("a", "assigned"), ("a", "revoked"), ("b", "assigned")], f"{place}: {events}"
        assert by_key(sorted(a.records + b.records, key=lambda r: r.position)) == expected(KEYS, 40)
        for log in logs:
            await log.close()

    @law()
    async def test_a_leaving_member_is_followed_at_once(self, harness: LogHarness) -> None:
        """``close`` gives the partitions up; others need not wait for a time-out."""
        logs = [await harness.open() for _ in range(2)]
        first = await logs[0].consumer([EVENTS.name], group="g", member="a", start="oldest")
        await until(lambda: first.assignment() == ALL, "the first has all", pump=lambda: first.poll(timeout_s=0.05))
        await (await logs[0].producer("p")).send(numbered(KEYS, 4))
        records = await take(first, 48)
        await first.commit(last_places(records))
        await first.close()
        second = await logs[1].consumer([EVENTS.name], group="g", member="b", start="oldest")
        clock = asyncio.get_running_loop().time
        begin = clock()
        await until(lambda: second.assignment() == ALL, "the next has all", pump=lambda: second.poll(timeout_s=0.02))
        took = clock() - begin
        assert took < harness.member_timeout_s / 2, f"the place of who left must be free at once, was {took:.2f} s"
        for log in logs:
            await log.close()

    @law(12)
    async def test_a_silent_member_loses_its_partitions(self, harness: LogHarness) -> None:
        """Silent beyond the time-out: others take over; its commit raises Fenced; it is told ``lost``, not revoked."""
        logs = [await harness.open() for _ in range(2)]
        story: list[tuple[str, str, tuple[str, int]]] = []
        a = _Listener("a", story)
        a.consumer = await logs[0].consumer([EVENTS.name], group="g", member="a", start="oldest", on_assignment=a)
        await until(lambda: a.consumer and a.consumer.assignment() == ALL, "the first has all", pump=a.poll)
        await (await logs[0].producer("p")).send(numbered(KEYS, 5))
        a.records += await take(a.consumer, 60)
        second = await logs[1].consumer([EVENTS.name], group="g", member="b", start="oldest")
        got: list[Record] = []

        async def pump() -> None:
            got.extend(await second.poll(timeout_s=0.05))

        await until(lambda: second.assignment() == ALL, "the other has taken over", pump=pump)
        await refused(Fenced, a.consumer.commit(last_places(a.records)), "a commit of lost partitions")
        while len(got) < 60:
            await pump()
        assert by_key(got) == expected(KEYS, 5), "what was not committed is delivered again"
        await asyncio.gather(a.poll(), pump())
        told = {what for who, what, _ in story if who == "a"}
        assert told == {"assigned", "lost"}, f"was {told}"
        for log in logs:
            await log.close()

    @law(14)
    async def test_a_member_begins_where_it_seeks_when_it_is_assigned(self, harness: LogHarness) -> None:
        """Whoever keeps positions of its own goes on behind them, before and behind what the group has committed."""
        log = await harness.open()
        sent = numbered(KEYS, 6)
        places = await (await log.producer("p")).send(sent)
        held = [partition_of(record.key, EVENTS.partitions) for record in sent]
        own: dict[tuple[str, int], Position | None] = {}
        for partition in set(held):
            mine = [at for at, where in zip(places, held, strict=True) if where == partition]
            own[EVENTS.name, partition] = mine[len(mine) // 2] if partition % 2 else None
        first = await log.consumer([EVENTS.name], group="g", member="a", start="oldest")
        records = await take(first, 72)
        third = {place: sorted(r.position for r in records if (r.topic, r.partition) == place) for place in own}
        await first.commit({place: found[len(found) // 3] for place, found in third.items()})
        await first.close()

        class Seeker(_Listener):
            async def assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
                assert self.consumer is not None
                for place in set(partitions) & set(own):
                    await self.consumer.seek(*place, own[place])

        seeker = Seeker("a", [])
        seeker.consumer = await log.consumer([EVENTS.name], group="g", member="a", start="oldest", on_assignment=seeker)
        wanted = [
            (record.key, record.value)
            for record, at, partition in zip(sent, places, held, strict=True)
            if (after := own[EVENTS.name, partition]) is None or at > after
        ]
        found = await take(seeker.consumer, len(wanted))
        assert sorted((r.key, r.value or b"") for r in found) == sorted((k, v or b"") for k, v in wanted)
        await log.close()

    @law()
    async def test_a_restarted_member_takes_its_seat_again(self, harness: LogHarness) -> None:
        """The same member name after a kill: it has its partitions again without waiting for a time-out."""
        keeper = await harness.open()
        log = await harness.open()
        member = await log.consumer([EVENTS.name], group="g", member="a", start="oldest")
        await until(lambda: member.assignment() == ALL, "it has all", pump=lambda: member.poll(timeout_s=0.05))
        await harness.crash(log)
        log = await harness.open()
        clock = asyncio.get_running_loop().time
        begin = clock()
        member = await log.consumer([EVENTS.name], group="g", member="a", start="oldest")
        await until(lambda: member.assignment() == ALL, "it has all again", pump=lambda: member.poll(timeout_s=0.02))
        took = clock() - begin
        assert took < harness.member_timeout_s / 2, f"a stable member must not wait for its own lease, was {took:.2f} s"
        await log.close()
        await keeper.close()
