"""Stores of sessions that break one law each."""

import asyncio

from candlewick.ports.sessions import Session, SessionMoved, Sessions
from candlewick.testing.conformance.harness import Fault


class _Around:
    """Everything as the sound store does it."""

    def __init__(self, sound: Sessions) -> None:
        self.sound = sound

    async def load(self, name: str, *, touch: bool = False) -> Session | None:
        return await self.sound.load(name, touch=touch)

    async def save(self, name: str, state: bytes, *, version: int, ttl_s: float) -> int:
        return await self.sound.save(name, state, version=version, ttl_s=ttl_s)

    async def end(self, name: str) -> bool:
        return await self.sound.end(name)

    async def close(self) -> None:
        await self.sound.close()


class SavesText(_Around):
    """State is text."""

    async def save(self, name: str, state: bytes, *, version: int, ttl_s: float) -> int:
        text = state.decode(errors="replace").encode()
        return await self.sound.save(name, text, version=version, ttl_s=ttl_s)


class LooksThenSaves(_Around):
    """Two steps with a gap between them."""

    async def save(self, name: str, state: bytes, *, version: int, ttl_s: float) -> int:
        kept = await self.sound.load(name)
        if (kept.version if kept else 0) != version:
            raise SessionMoved("moved")
        await asyncio.sleep(0.01)
        try:
            return await self.sound.save(name, state, version=version, ttl_s=ttl_s)
        except SessionMoved:
            return version + 1


class EveryLoadTouches(_Around):
    """Whoever looks prolongs."""

    async def load(self, name: str, *, touch: bool = False) -> Session | None:
        return await self.sound.load(name, touch=True)


class RevivesTheGone(_Around):
    """A session that is gone is saved on whatever version."""

    async def save(self, name: str, state: bytes, *, version: int, ttl_s: float) -> int:
        gone = await self.sound.load(name) is None
        return await self.sound.save(name, state, version=0 if gone else version, ttl_s=ttl_s)


class TakesAnyTime(_Around):
    """What is not positive lives a minute."""

    async def save(self, name: str, state: bytes, *, version: int, ttl_s: float) -> int:
        return await self.sound.save(name, state, version=version, ttl_s=ttl_s if ttl_s > 0 else 60.0)


FAULTS = (
    Fault("test_law_1_what_was_saved_is_loaded", "saves text", SavesText),
    Fault("test_law_2_of_many_saves_one_gets_through", "looks, then saves", LooksThenSaves),
    Fault("test_law_3_a_session_lives_from_its_last_touch", "every load touches", EveryLoadTouches),
    Fault("test_law_4_what_is_gone_begins_anew", "revives the gone", RevivesTheGone),
    Fault("test_law_5_a_time_to_live_is_positive", "takes any time", TakesAnyTime),
)
