"""The sockets of the running product as its clients meet them [13, 22]: snapshot, updates, finality, heartbeats, idle
ends, resumption after a cut, holes, clients that do not read."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import time

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.recordings import steady, write
from tests.e2e.server import Product, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
CANDLE = {
    "open_time", "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "trades", "final",
    "revision", "origin", "quality",
}  # fmt: skip
WITHIN_S = 40


def started(folder, *arguments):
    port = free_port()
    product = Product(["up", "--port", str(port), "--data-dir", str(folder / "data"), *arguments], folder, port=port)
    return product.wait_ready()


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The demo market with a heartbeat each second; who has not been heard of for three is closed."""
    settings = ["--set", "realtime.heartbeat_s=1", "--set", "realtime.idle_s=3"]
    product = started(tmp_path_factory.mktemp("quick"), "--exchange", "demo", *settings)
    product.until("/trades/demo/BTC-USDT", lambda page: page["trades"], seconds=60)
    yield product
    assert product.stop() == 0, product.text()


def open_socket(product, path, **options):
    return connect(f"ws://127.0.0.1:{product.port}{path}", max_size=None, **options)


async def heard(ws, condition, seconds=WITHIN_S):
    """All messages up to the first that satisfies the condition."""
    messages = []
    async with asyncio.timeout(seconds):
        while not messages or not condition(messages[-1]):
            message = json.loads(await ws.recv())
            assert set(message) == {"type", "id", "ts", "data"}
            assert message["type"] in {"snapshot", "update", "heartbeat", "error"}
            assert isinstance(message["id"], str)
            assert isinstance(message["ts"], int)
            messages.append(message)
    return messages


def candles(messages):
    return [candle for m in messages if m["type"] in {"snapshot", "update"} for candle in m["data"]]


def finals(messages):
    return [candle for m in messages if m["type"] == "update" for candle in m["data"] if candle["final"]]


def has_final(message):
    return bool(finals([message]))


async def test_candles_begin_with_a_snapshot_and_go_on_with_updates(quick):
    async with open_socket(quick, "/ws/ohlcv/demo/BTC-USDT/1m") as ws:
        messages = await heard(ws, lambda m: m["type"] == "update" and not m["data"][-1]["final"])
    first, last = messages[0], messages[-1]
    assert first["type"] == "snapshot"
    assert [m["type"] for m in messages].count("snapshot") == 1
    assert 1 < len(first["data"]) <= 501
    times = [candle["open_time"] for candle in first["data"]]
    assert times == list(range(times[0], times[-1] + 1, 60_000)), "oldest first, without a hole"
    assert all(set(candle) == CANDLE for candle in candles(messages))
    assert all(candle["final"] for candle in first["data"][:-1])
    assert last["data"][-1]["open_time"] >= times[-1]
    page = quick.json("/ohlcv/demo/BTC-USDT/1m?limit=400")["candles"]
    sent = {candle["open_time"]: candle for candle in first["data"] if candle["final"]}
    same = [candle for candle in page if candle["open_time"] in sent]
    assert len(same) > 300
    assert all(sent[candle["open_time"]] == candle for candle in same), "as in /ohlcv"


async def test_a_final_candle_comes_once_and_no_open_one_of_its_time_behind_it(quick):
    async with open_socket(quick, "/ws/ohlcv/demo/BTC-USDT/1s") as ws:
        messages = []
        while len({candle["open_time"] for candle in finals(messages)}) < 5:
            messages += await heard(ws, has_final)
    told = [(c["open_time"], c["revision"]) for c in finals(messages)]
    assert len(told) == len(set(told))
    closed = {}
    for candle in candles(messages):
        if candle["final"]:
            closed[candle["open_time"]] = candle["revision"]
        else:
            assert closed.get(candle["open_time"], -1) < candle["revision"], "an open one behind its final one"
    opened = [c for m in messages if m["type"] == "update" for c in m["data"] if not c["final"]]
    assert opened, "the open candle moves before it is final"


async def test_heartbeats_come_beside_updates_and_a_client_that_answers_pings_stays(quick):
    """Longer than idle_s without a word of our own: the pongs of the library are enough [22]."""
    async with open_socket(quick, "/ws/trades/demo/BTC-USDT", ping_interval=None) as ws:
        started_at = time.monotonic()
        messages, updates = [], []
        while (waited_s := time.monotonic() - started_at) < 6 or (not updates and waited_s < WITHIN_S):
            messages += await heard(ws, lambda m: m["type"] == "heartbeat")
            updates = [m for m in messages if m["type"] == "update"]
    beats = [m for m in messages if m["type"] == "heartbeat"]
    assert waited_s / 1.5 <= len(beats) <= waited_s * 1.3
    assert all(m["data"] is None and m["id"] for m in beats)
    assert updates, "the market moved meanwhile"


def raw_client(product, path, *, receive_bytes=None):
    """A WebSocket client that does nothing by itself: after the handshake it neither reads nor answers."""
    raw = socket.socket()
    if receive_bytes:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    raw.settimeout(30)
    raw.connect(("127.0.0.1", product.port))
    key = base64.b64encode(os.urandom(16)).decode()
    raw.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += raw.recv(1)
    assert b" 101 " in head.split(b"\r\n")[0]
    return raw


def frames_of(raw):
    """Opcode and payload of every frame until the other side ends."""
    file = raw.makefile("rb")
    with contextlib.suppress(ConnectionResetError, TimeoutError):
        while len(head := file.read(2)) == 2:
            size = head[1] & 127
            if size > 125:
                size = int.from_bytes(file.read(2 if size == 126 else 8), "big")
            yield head[0] & 15, file.read(size)


def test_a_client_that_says_nothing_at_all_is_closed_as_idle(quick):
    raw = raw_client(quick, "/ws/book/demo/BTC-USDT")
    began = time.monotonic()
    frames = list(frames_of(raw))
    raw.close()
    assert 3 <= time.monotonic() - began < 20
    assert frames[-1][0] == 8
    assert int.from_bytes(frames[-1][1][:2], "big") == 4001
    kinds = [json.loads(payload)["type"] for opcode, payload in frames if opcode == 1]
    assert "heartbeat" in kinds
    assert any(opcode == 9 for opcode, _ in frames), "a ping goes with the heartbeat"
    assert 'websocket_closed_total{reason="idle"}' in quick.get("/metrics")[2].decode()


async def test_a_client_cut_off_goes_on_behind_its_token_without_loss_or_repeat(quick):
    path = "/ws/ohlcv/demo/ETH-USDT/1s"
    async with open_socket(quick, path) as ws:
        messages = []
        while len(finals(messages)) < 2:
            messages += await heard(ws, has_final)
        token = messages[-1]["id"]
        ws.transport.abort()
    seen = {c["open_time"] for c in candles(messages) if c["final"]}
    newest = max(seen)
    quick.until(
        "/ohlcv/demo/ETH-USDT/1s?limit=3",
        lambda page: max(c["open_time"] for c in page["candles"] if c["final"]) >= newest + 3000,
    )
    async with open_socket(quick, f"{path}?after={token}") as ws:
        again = await heard(ws, lambda m: any(c["open_time"] > newest + 4000 for c in finals([m])))
    assert {m["type"] for m in again} <= {"update", "heartbeat"}, "no snapshot, no hole"
    told = [(c["open_time"], c["revision"]) for c in finals(again)]
    assert len(told) == len(set(told)), "each once"
    assert not seen & {open_time for open_time, _ in told}, "nothing that was seen before the cut"
    end = max(open_time for open_time, _ in told)
    page = quick.json(f"/ohlcv/demo/ETH-USDT/1s?start={newest + 1}&end={end + 1}&limit=1000")["candles"]
    told_last = {c["open_time"]: c for c in finals(again)}
    assert list(told_last) == [c["open_time"] for c in page]
    assert list(told_last.values()) == page


async def test_trades_go_on_behind_their_token_too(quick):
    path = "/ws/trades/demo/BTC-USDT"
    async with open_socket(quick, path) as ws:
        messages = await heard(ws, lambda m: m["type"] == "update")
        ws.transport.abort()
    assert messages[0]["type"] == "snapshot"
    assert set(messages[0]["data"][0]) == {"id", "price", "size", "side", "ts"}
    newest = max(t["id"] for t in messages[-1]["data"])
    page = quick.until("/trades/demo/BTC-USDT", lambda page: page["trades"][0]["id"] > newest + 3, seconds=90)
    later = page["trades"][0]["id"]
    async with open_socket(quick, f"{path}?after={messages[-1]['id']}") as ws:
        again = await heard(ws, lambda m: m["type"] == "update" and m["data"][-1]["id"] >= later)
    ids = [t["id"] for m in again if m["type"] == "update" for t in m["data"]]
    assert ids == sorted(set(ids))
    assert ids[0] > newest
    kept = {t["id"] for t in quick.json("/trades/demo/BTC-USDT")["trades"]}
    assert {n for n in kept if newest < n <= later} <= set(ids)


def forged(token, change):
    """The token with its places changed."""
    plain = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    return base64.urlsafe_b64encode(change(plain).encode()).decode().rstrip("=")


def at(offset):
    """Every place of a token moved to an offset."""
    return lambda plain: ",".join(f"{part.rpartition('.')[0]}.{offset}" for part in plain.split(","))


@pytest.mark.parametrize(
    "broken",
    [
        lambda token: "nonsense",
        lambda token: "%00%FF",
        lambda token: base64.urlsafe_b64encode(b"raw.book:0:1.1").decode(),
        lambda token: forged(token, lambda plain: plain.split(",")[0]),
        lambda token: forged(token, lambda plain: plain.replace("normalized.ohlcv:", "normalized.ohlcv:1")),
        lambda token: forged(token, at(10**12)),
    ],
    ids=["nonsense", "bytes", "another topic", "half of it", "another partition", "ahead of the log"],
)
async def test_a_token_that_cannot_be_honoured_is_a_hole_and_then_a_snapshot(quick, broken):
    path = "/ws/ohlcv/demo/BTC-USDT/1s"
    async with open_socket(quick, path) as ws:
        token = (await heard(ws, has_final))[-1]["id"]
    async with open_socket(quick, f"{path}?after={broken(token)}") as ws:
        messages = await heard(ws, has_final)
    assert [m["type"] for m in messages[:2]] == ["error", "snapshot"]
    assert messages[0]["data"]["code"] == "HOLE"
    assert messages[0]["data"]["detail"]
    assert len(messages[1]["data"]) > 0


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/ws/ohlcv/demo/NOPE-USDT/1m", "SYMBOL_NOT_FOLLOWED"),
        ("/ws/ohlcv/nowhere/BTC-USDT/1m", "SYMBOL_NOT_FOLLOWED"),
        ("/ws/ohlcv/demo/BTC-USDT/7m", "UNKNOWN_TIMEFRAME"),
        ("/ws/ohlcv/demo/BTC%3Flimit=1/1m", "BAD_NAME"),
        ("/ws/trades/demo/NOPE-USDT", "SYMBOL_NOT_FOLLOWED"),
        ("/ws/trades/demo/%00", "BAD_NAME"),
        ("/ws/book/demo/NOPE-USDT", "SYMBOL_NOT_FOLLOWED"),
    ],
)
async def test_what_is_not_there_is_an_error_with_its_code_and_close_4000(quick, path, code):
    async with open_socket(quick, path) as ws:
        (message,) = await heard(ws, lambda m: True)
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
    assert message["type"] == "error"
    assert message["data"]["code"] == code
    assert closed.value.rcvd.code == 4000
    assert closed.value.rcvd.reason == code


async def test_tickers_are_all_at_first_and_then_what_changed(quick):
    async with open_socket(quick, "/ws/tickers") as ws:
        messages = await heard(ws, lambda m: m["type"] == "update")
    assert messages[0]["type"] == "snapshot"
    assert {t["symbol"] for t in messages[0]["data"]} == {s["symbol"] for s in quick.json("/symbols")["symbols"]}
    assert all("sparkline" in t for t in messages[0]["data"])
    assert all("sparkline" not in t and t["last"] for t in messages[-1]["data"])
    async with open_socket(quick, "/ws/tickers?symbols=BTC-USDT,SOL-USDT") as ws:
        messages = [m for m in await heard(ws, lambda m: m["type"] == "update") if m["type"] != "heartbeat"]
    assert {t["symbol"] for t in messages[0]["data"]} == {"BTC-USDT", "SOL-USDT"}
    assert {t["symbol"] for m in messages for t in m["data"]} <= {"BTC-USDT", "SOL-USDT"}


async def test_books_are_the_best_levels_in_order(quick):
    async with open_socket(quick, "/ws/book/demo/BTC-USDT") as ws:
        messages = await heard(ws, lambda m: m["type"] == "update")
    for message in messages:
        if message["type"] == "heartbeat":
            continue
        book = message["data"]
        bids, asks = [p for p, _ in book["bids"]], [p for p, _ in book["asks"]]
        assert 0 < len(bids) <= 20
        assert 0 < len(asks) <= 20
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert bids[0] < asks[0]
        assert book["mode"] == "simulated"
        assert set(book) == set(quick.json("/book/demo/BTC-USDT"))


# -- clients that do not read ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A recording of 1000 trades a second, for two minutes."""
    folder = tmp_path_factory.mktemp("busy")
    recording = write(folder / "busy.gz", steady(120_000, every_ms=1))
    settings = ["--set", "realtime.queue_bytes=30000", "--set", "realtime.send_s=6"]
    product = started(folder, "--replay", str(recording), "--speed", "1", *settings)
    product.until("/trades/binance/BTC-USDT", lambda page: page["trades"], seconds=60)
    yield product
    assert product.stop() == 0, product.text()


async def follow(product, stop):
    """Ids of the trades that a client which reads is sent until ``stop`` is set."""
    ids = []
    async with open_socket(product, "/ws/trades/binance/BTC-USDT") as ws:
        while not stop.is_set():
            message = json.loads(await asyncio.wait_for(ws.recv(), WITHIN_S))
            if message["type"] == "update":
                ids += [t["id"] for t in message["data"]]
    return ids


def closed_slow(product):
    text = product.get("/metrics")[2].decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if 'websocket_closed_total{reason="SLOW"}' in line)


async def until_closed_slow(product, before):
    async with asyncio.timeout(WITHIN_S):
        while await asyncio.to_thread(closed_slow, product) == before:
            await asyncio.sleep(0.2)


async def test_a_client_that_reads_too_late_is_told_where_to_go_on_and_others_notice_nothing(busy):
    """It stops reading until more waits than it may, reads on while the server still holds the line, and finds
    what was sent, an error SLOW with its last token, and close 4008. A second client gets every trade meanwhile."""
    stop = asyncio.Event()
    before = closed_slow(busy)
    other = asyncio.create_task(follow(busy, stop))
    raw = await asyncio.to_thread(raw_client, busy, "/ws/trades/binance/BTC-USDT", receive_bytes=4096)
    await until_closed_slow(busy, before)
    frames = await asyncio.to_thread(lambda: list(frames_of(raw)))
    raw.close()
    stop.set()
    ids = await other
    assert ids == list(range(ids[0], ids[-1] + 1)), "the client that reads misses nothing"
    assert len(ids) > 1000
    messages = [json.loads(payload) for opcode, payload in frames if opcode == 1]
    assert frames[-1][0] == 8
    assert int.from_bytes(frames[-1][1][:2], "big") == 4008
    assert messages[-1]["type"] == "error"
    assert messages[-1]["data"]["code"] == "SLOW"
    assert messages[-1]["id"] == messages[-2]["id"], "the token of the last data it was sent"
    got = [t["id"] for m in messages if m["type"] == "update" for t in m["data"]]
    assert got == list(range(got[0], got[-1] + 1))
    async with open_socket(busy, f"/ws/trades/binance/BTC-USDT?after={messages[-1]['id']}") as ws:
        rest = await heard(ws, lambda m: m["type"] == "update")
    assert rest[-1]["data"][0]["id"] == got[-1] + 1, "the token goes on with the very next trade"


async def test_a_client_that_never_reads_is_let_go_and_costs_bounded_memory(busy):
    before = closed_slow(busy)
    raws = [
        await asyncio.to_thread(raw_client, busy, "/ws/trades/binance/BTC-USDT", receive_bytes=4096) for _ in range(5)
    ]
    async with asyncio.timeout(60):
        while True:
            if await asyncio.to_thread(closed_slow, busy) >= before + 5 and clients(busy) == 0:
                break
            await asyncio.sleep(0.2)
    received = 0
    for raw in raws:
        with contextlib.suppress(ConnectionResetError):
            while data := raw.recv(1 << 16):
                received += len(data)
        raw.close()
    assert received < 5 * 400_000, "what waited for them was bounded"


def clients(product):
    text = product.get("/metrics")[2].decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("websocket_clients "))
