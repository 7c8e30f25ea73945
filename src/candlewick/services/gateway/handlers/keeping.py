"""Answers of services that are given out again for a while, so that many who ask alike cost one question."""

from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import urlencode

import msgspec

from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.ports.answers import Answers
from candlewick.ports.cache import CacheUnavailable
from candlewick.ports.runtime import ServiceClient
from candlewick.services.gateway.domain import Keeping

_LAYOUT: Final = 1
_DEGRADED: Final = "x-candlewick-degraded"
_PASSED_ON: Final = ("content-type", "retry-after", _DEGRADED)
"""What is told of an answer beside its body; the rest belongs to the one request that it was given to."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """An answer with status 200. ``made_ns`` is when it was given, since the epoch."""

    made_ns: int
    media: str
    body: bytes


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Kept).decode


class _NotKept(Exception):
    """An answer that is given to who asked, and to nobody else later."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"the answer was {status}, or not whole")
        self.told = Told(status, {name: headers[name] for name in _PASSED_ON if name in headers}, body)


class Told(msgspec.Struct, frozen=True):
    """An answer to give out, header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class KeptAnswers:
    """One question at a time for each path and query, among all processes of the gateway."""

    def __init__(self, answers: Answers, clients: Mapping[str, ServiceClient], clock: Clock) -> None:
        self._answers, self._clients, self._clock = answers, clients, clock

    async def get(self, service: str, path: str, query: Mapping[str, str], keeping: Keeping) -> Told:
        """The answer with status 200, made anew or at most as old as ``keeping`` says, or another that is not kept.
        Without a cache the service is asked. Raises what the service's client raises."""
        asked_ns = self._clock.now_ns()

        async def ask() -> bytes:
            status, headers, body = await self._clients[service].get(path, query)
            if status != 200 or _DEGRADED in headers:
                raise _NotKept(status, headers, body)
            return _pack(_Kept(self._clock.now_ns(), headers.get("content-type", ""), body))

        key = f"gateway:{_LAYOUT}:{path}?{urlencode(sorted(query.items()))}"
        try:
            try:
                found = await self._answers.answer(key, ask, fresh_s=keeping.fresh_s, stale_s=keeping.stale_s)
            except CacheUnavailable:
                found = await ask()
        except _NotKept as other:
            return other.told
        return _told(_unpack(found), asked_ns, self._clock.now_ns(), keeping)


def _told(kept: _Kept, asked_ns: int, now_ns: int, keeping: Keeping) -> Told:
    """With ``Age`` in whole seconds, and whether it was there (hit), was there and old (stale), or was made for this
    question or one asked at the same time (miss)."""
    age_s = max(0, now_ns - kept.made_ns) / NS_PER_SECOND
    how: Literal["hit", "stale", "miss"] = "hit" if age_s < keeping.fresh_s else "stale"
    headers = {
        "content-type": kept.media,
        "age": str(int(age_s)),
        "cache-control": f"max-age={keeping.fresh_s}, stale-while-revalidate={keeping.stale_s}",
        "x-cache": "miss" if kept.made_ns >= asked_ns else how,
    }
    return Told(200, headers, kept.body)
