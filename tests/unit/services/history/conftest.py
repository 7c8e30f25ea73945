"""The history service on embedded stores."""

from contextlib import asynccontextmanager

import pytest

from candlewick.app.configuration import read
from candlewick.app.runtime.host import running
from tests.unit.services.history.house import FakeVenue, House, Resources


@pytest.fixture
def house(tmp_path):
    """``async with house(...) as h``; the same tmp_path again is a restart."""

    @asynccontextmanager
    async def open_house(*, venue=None, mode="live", **settings):
        flags = {"fetch": "false", "repair": "false", "keep_house": "false", "repair_first_s": "0.05", **settings}
        config = read(data_dir=tmp_path, flags=[f"history.{k}={v}" for k, v in flags.items()], environ={})
        resources = Resources(tmp_path, config, venue, mode)
        if venue is None:
            resources._fake = FakeVenue(resources.clock)
        async with running(["history"], config, resources, member="test") as host:
            yield House(host, resources, resources._fake)

    return open_house
