"""The laws of ``ports.sessions``, for every adapter.

1 What was saved is loaded, by every process, with its version; versions count from 1.
2 Of many saves on one version exactly one gets through; the others are told SESSION_MOVED and change nothing.
3 A session lives ``ttl_s`` from its last save, or the last load that touches it; other loads do not prolong it.
4 What is gone or was ended begins anew from version 0, and nothing else does.
5 A time to live that is not positive is refused with code BAD_TTL.
"""

import asyncio
from typing import Protocol

import pytest

from candlewick.ports.cache import BadTtl
from candlewick.ports.sessions import Session, SessionMoved, Sessions
from candlewick.testing.conformance.harness import Harness


class SessionsHarness(Harness[Sessions], Protocol):
    async def pass_time(self, seconds: float) -> None:
        """Let the store's clock move on by this much."""
        ...


class SessionsConformance:
    @pytest.fixture
    def harness(self) -> SessionsHarness:
        raise NotImplementedError("the binding gives the harness")

    async def test_law_1_what_was_saved_is_loaded(self, harness: SessionsHarness) -> None:
        one, other = await harness.handle(), await harness.handle()
        assert await one.load("s") is None
        for version, state in enumerate((b"", b"\x00\xff", bytes(100_000))):
            assert await one.save("s", state, version=version, ttl_s=60.0) == version + 1
            assert await other.load("s") == Session(state, version + 1)
        assert await one.load("t") is None

    async def test_law_2_of_many_saves_one_gets_through(self, harness: SessionsHarness) -> None:
        handles = [await harness.handle() for _ in range(3)]
        for version in range(5):
            results = await asyncio.gather(
                *(one.save("s", b"%d" % i, version=version, ttl_s=60.0) for i, one in enumerate([*handles, *handles])),
                return_exceptions=True,
            )
            through = [i for i, result in enumerate(results) if result == version + 1]
            assert len(through) == 1
            moved = [result for result in results if isinstance(result, SessionMoved)]
            assert len(moved) == 5
            assert {error.code for error in moved} == {"SESSION_MOVED"}
            assert await handles[0].load("s") == Session(b"%d" % through[0], version + 1)

    async def test_law_3_a_session_lives_from_its_last_touch(self, harness: SessionsHarness) -> None:
        sessions = await harness.handle()
        await sessions.save("s", b"a", version=0, ttl_s=1.0)
        await harness.pass_time(0.6)
        assert await sessions.load("s", touch=True) == Session(b"a", 1)
        await harness.pass_time(0.6)
        assert await sessions.load("s") == Session(b"a", 1)
        await harness.pass_time(0.6)
        assert await sessions.load("s") is None
        assert await sessions.load("s", touch=True) is None

    async def test_law_4_what_is_gone_begins_anew(self, harness: SessionsHarness) -> None:
        sessions = await harness.handle()
        for version in (1, 7, -1):
            with pytest.raises(SessionMoved, match="gone"):
                await sessions.save("s", b"a", version=version, ttl_s=60.0)
        await sessions.save("s", b"a", version=0, ttl_s=60.0)
        with pytest.raises(SessionMoved, match="at 1 now"):
            await sessions.save("s", b"b", version=0, ttl_s=60.0)
        assert await sessions.load("s") == Session(b"a", 1)
        assert await sessions.end("s")
        assert not await sessions.end("s")
        assert await sessions.load("s") is None
        assert await sessions.save("s", b"c", version=0, ttl_s=60.0) == 1

    async def test_law_5_a_time_to_live_is_positive(self, harness: SessionsHarness) -> None:
        sessions = await harness.handle()
        for ttl_s in (0.0, -1.0, float("nan")):
            with pytest.raises(BadTtl) as refused:
                await sessions.save("s", b"a", version=0, ttl_s=ttl_s)
            assert refused.value.code == "BAD_TTL"
        assert await sessions.load("s") is None
