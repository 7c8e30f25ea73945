"""LAWS 13 and 14 once more: inbox, outbox and relay with the service's database on PostgreSQL."""

import pytest

from candlewick.adapters.db.postgres import PostgresDatabase
from tests.postgres import free_database, needs_postgres, new_database, url_of
from tests.unit.app import test_messaging
from tests.unit.app.test_messaging import *  # noqa: F403 (the very same tests, on another bench)

pytestmark = needs_postgres


class PostgresBench(test_messaging.Bench):
    """Each service has a database of its own on the server."""

    def __init__(self, folder, names):
        super().__init__(folder)
        self.names = names

    def database(self, service):
        return PostgresDatabase(url_of(self.names[service]))


@pytest.fixture
async def bench(tmp_path):
    names = {service: await new_database() for service in ("collector", "history", "notify")}
    made = PostgresBench(tmp_path, names)
    await made.log.open()
    yield made
    await made.log.close()
    for name in names.values():
        await free_database(name)
    assert made.failures == []
