"""``candlewick databases apply`` on a real PostgreSQL: from nothing, again, and refused."""

from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from candlewick.adapters.db.postgres.provisioning import deprovision
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
