"""The quick reader understands answers however they are cut, and says what is wrong in the cache's words."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from candlewick.adapters.cache.redis.reading import BadCacheUrl, QuickReader
from candlewick.ports.cache import CacheUnavailable

Script = Callable[[list[bytes]], bytes]


@asynccontextmanager
async def server(script: Script, *, cut: int = 1 << 20) -> AsyncIterator[tuple[int, list[list[bytes]]]]:
    """Answers every question by ``script``, in pieces of ``cut`` bytes."""
    asked: list[list[bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(size + 2))[:-2])
                asked.append(words)
                answer = script(words)
                for at in range(0, len(answer), cut):
                    writer.write(answer[at : at + cut])
                    await writer.drain()
                    if cut < 1 << 20:
                        await asyncio.sleep(0.001)
                if not answer:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], asked
    finally:
        listening.close()


@pytest.mark.parametrize("cut", [1, 2, 7, 1 << 20])
async def test_answers_are_understood_however_they_are_cut(cut: int) -> None:
    answers = {
        b"BULK": (b"$5\r\na\r\nbc\r\n", b"a\r\nbc"),
        b"EMPTY": (b"$0\r\n\r\n", b""),
        b"NIL": (b"$-1\r\n", None),
        b"NUMBER": (b":-42\r\n", -42),
        b"WORD": (b"+OK\r\n", b"OK"),
        b"LIST": (b"*4\r\n$1\r\nx\r\n$-1\r\n:7\r\n*1\r\n$2\r\n\r\n\r\n", [b"x", None, 7, [b"\r\n"]]),
        b"NONE": (b"*0\r\n", []),
    }
    async with server(lambda words: answers[words[0]][0], cut=cut) as (port, asked):
        reader = QuickReader(f"redis://127.0.0.1:{port}/0", timeout_s=5.0)
        for word, (_, expected) in answers.items():
            assert await reader.ask(word, b"\x00\r\n") == expected
        found = await asyncio.gather(*(reader.ask(word) for word in answers for _ in range(3)))
        assert found == [expected for _, expected in answers.values() for _ in range(3)]
        assert asked[0] == [b"BULK", b"\x00\r\n"]
        await reader.close()


async def test_a_refusal_is_told_and_the_next_answer_is_the_next_question_s() -> None:
    def script(words: list[bytes]) -> bytes:
        return b"-WRONGTYPE not that\r\n" if words[0] == b"BAD" else b"+%b\r\n" % words[0]

    async with server(script) as (port, _):
        reader = QuickReader(f"redis://127.0.0.1:{port}/0", timeout_s=5.0)
        found = await asyncio.gather(*(reader.ask(word) for word in (b"A", b"BAD", b"B")), return_exceptions=True)
        assert found[0] == b"A"
        assert found[2] == b"B"
        assert isinstance(found[1], CacheUnavailable)
        assert "refuses: WRONGTYPE not that" in str(found[1])
        await reader.close()


@pytest.mark.parametrize(
    ("address", "begins"),
    [
        ("redis://127.0.0.1:{port}/0", []),
        ("redis://127.0.0.1:{port}", []),
        ("redis://127.0.0.1:{port}/3", [[b"SELECT", b"3"]]),
        ("redis://:p%40ss@127.0.0.1:{port}/2", [[b"AUTH", b"p@ss"], [b"SELECT", b"2"]]),
        ("redis://us%2Fer:pass@127.0.0.1:{port}?db=1", [[b"AUTH", b"us/er", b"pass"], [b"SELECT", b"1"]]),
    ],
)
async def test_an_address_says_who_asks_and_in_which_database(address: str, begins: list[list[bytes]]) -> None:
    async with server(lambda _: b"+OK\r\n") as (port, asked):
        reader = QuickReader(address.format(port=port), timeout_s=5.0)
        assert await reader.ask(b"PING") == b"OK"
        assert asked == [*begins, [b"PING"]]
        await reader.close()


async def test_a_wrong_password_is_told_without_it() -> None:
    async with server(lambda _: b"-WRONGPASS invalid\r\n") as (port, _):
        reader = QuickReader(f"redis://:secret@127.0.0.1:{port}/0", timeout_s=5.0)
        with pytest.raises(CacheUnavailable, match="WRONGPASS") as told:
            await reader.ask(b"PING")
        assert "secret" not in str(told.value)
        await reader.close()


async def test_a_broken_connection_is_made_anew_once() -> None:
    broken = 0

    def script(words: list[bytes]) -> bytes:
        nonlocal broken
        broken += 1
        return b"" if broken == 2 else b"+OK\r\n"

    async with server(script) as (port, asked):
        reader = QuickReader(f"redis://127.0.0.1:{port}/0", timeout_s=5.0)
        assert await reader.ask(b"A") == b"OK"
        assert await reader.ask(b"B") == b"OK"
        assert [words[0] for words in asked] == [b"A", b"B", b"B"]
        await reader.close()


async def test_a_server_that_always_breaks_is_unavailable() -> None:
    async with server(lambda _: b"") as (port, asked):
        reader = QuickReader(f"redis://127.0.0.1:{port}/0", timeout_s=5.0)
        with pytest.raises(CacheUnavailable, match="cannot be reached"):
            await reader.ask(b"A")
        assert len(asked) == 2
        await reader.close()


async def test_an_address_of_something_else_is_refused() -> None:
    reader = QuickReader("http://127.0.0.1:1/", timeout_s=1.0)
    with pytest.raises(BadCacheUrl) as refused:
        await reader.ask(b"PING")
    assert refused.value.code == "BAD_CACHE_URL"
    await reader.close()
    with pytest.raises(CacheUnavailable, match="closed"):
        await reader.ask(b"PING")
