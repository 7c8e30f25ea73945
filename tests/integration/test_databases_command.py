"""``candlewick databases apply`` on a real PostgreSQL: from nothing, again, and refused."""

import json
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from candlewick.adapters.db.postgres.provisioning import deprovision, provision
from candlewick.app.cli import databases
from candlewick.app.cli.main import main
from tests.postgres import ADMIN_URL, needs_postgres

SERVICES = databases.keeping()


def test_urls_come_from_a_folder_and_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "market").write_text("postgresql://a:b@h/a\n")
    found = databases.collect(["market", "history"], tmp_path, ["history=postgresql://c:d@h/c"])
    assert found == {"market": "postgresql://a:b@h/a", "history": "postgresql://c:d@h/c"}


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ([], "DATABASE_NOT_NAMED"),
        (["strategy=postgresql://a:b@h/a"], "BAD_DATABASE_URL"),
        (["market=sqlite:///a"], "BAD_DATABASE_URL"),
        (["market=postgresql://a:secret@h"], "BAD_DATABASE_URL"),
    ],
)
def test_what_is_refused_has_a_code_and_shows_no_password(named: list[str], code: str) -> None:
    with pytest.raises((databases.BadDatabaseUrl, databases.DatabaseNotNamed)) as told:
        databases.collect(["market"], None, named)
    assert told.value.code == code
    assert "secret" not in str(told.value)


def urls(prefix: str) -> dict[str, str]:
    there = urlsplit(str(ADMIN_URL)).netloc.rpartition("@")[2]
    return {
        name: f"postgresql://candlewick_{prefix}_{name}:p-{name}@{there}/candlewick_{prefix}_{name}"
        for name in SERVICES
    }


@needs_postgres
async def test_makes_everything_and_may_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from asyncio import to_thread

    prefix = f"t{uuid4().hex[:8]}"
    for name, url in urls(prefix).items():
        (tmp_path / name).write_text(url)
    monkeypatch.setenv("CANDLEWICK_CLUSTER__POSTGRES_ADMIN_URL", str(ADMIN_URL))
    monkeypatch.setenv("CANDLEWICK_CLUSTER__PREFIX", f"{prefix}.")
    arguments = ["databases", "apply", "--urls", str(tmp_path), "--data-dir", str(tmp_path)]
    try:
        assert await to_thread(main, arguments) == 0
        first = capsys.readouterr().out
        assert [line.partition(":")[0] for line in first.splitlines()] == SERVICES
        # the services' own roles suffice where everything is there
        monkeypatch.delenv("CANDLEWICK_CLUSTER__POSTGRES_ADMIN_URL")
        assert await to_thread(main, arguments) == 0
        assert capsys.readouterr().out == first.replace("role and database are there; ", "")
        connection = await asyncpg.connect(urls(prefix)["history"])
        tables = {
            row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname !~ '^pg_'")
        }
        await connection.close()
        assert {"gaps", "held"} <= tables, tables
    finally:
        for name in SERVICES:
            await deprovision(str(ADMIN_URL), name, prefix=f"candlewick_{prefix}_")


@needs_postgres
async def test_migrates_as_each_services_role_and_says_where_all_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With nothing but an administrator's URL."""
    from asyncio import to_thread

    prefix = f"t{uuid4().hex[:8]}"
    monkeypatch.setenv("CANDLEWICK_CLUSTER__POSTGRES_ADMIN_URL", str(ADMIN_URL))
    monkeypatch.setenv("CANDLEWICK_CLUSTER__PREFIX", f"{prefix}.")

    async def told(*arguments: str, code: int = 0) -> dict[str, dict[str, str]]:
        assert await to_thread(main, ["databases", *arguments, "--json", "--data-dir", str(tmp_path)]) == code
        return {one["service"]: one for one in json.loads(capsys.readouterr().out)["databases"]}

    try:
        assert {one["state"] for one in (await told("status", code=1)).values()} == {"away"}
        for name in SERVICES:
            await provision(str(ADMIN_URL), name, "w", prefix=f"candlewick_{prefix}_")
        assert {one["state"] for one in (await told("status", code=1)).values()} == {"behind"}
        assert (await told("migrate", "market")).keys() == {"market"}
        found = await told("status", code=1)
        assert {name: one["state"] for name, one in found.items()} == {
            name: "current" if name == "market" else "behind" for name in SERVICES
        }
        await told("migrate")
        found = await told("status")
        assert found["history"] | {"detail": ""} == {
            "service": "history", "state": "current", "revision": "0001", "head": "0001",
            "candles": "partitions", "detail": "",
        }  # fmt: skip
        connection = await asyncpg.connect(urls(prefix)["history"].replace("p-history", "w"))
        owners = await connection.fetch("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname !~ '^(pg_|info)'")
        await connection.execute("UPDATE alembic_version SET version_num = 'of tomorrow'")
        await connection.close()
        assert [row[0] for row in owners] == [f"candlewick_{prefix}_history"]
        assert (await told("status", "history", code=1))["history"]["state"] == "ahead"
    finally:
        for name in SERVICES:
            await deprovision(str(ADMIN_URL), name, prefix=f"candlewick_{prefix}_")


@needs_postgres
def test_a_url_of_another_service_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = urls("x")
    monkeypatch.setenv("CANDLEWICK_CLUSTER__POSTGRES_ADMIN_URL", str(ADMIN_URL))
    monkeypatch.setenv("CANDLEWICK_CLUSTER__PREFIX", "x.")
    for name in SERVICES:
        (tmp_path / name).write_text(there[SERVICES[-1]])
    assert main(["databases", "apply", "--urls", str(tmp_path), "--data-dir", str(tmp_path)]) == 1
    assert "BAD_DATABASE_URL" in capsys.readouterr().err
