"""How recovery is timed, how links are cut, how a second process of a service is begun."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tools.chaos import disk, watching
from tools.chaos.links import Links
from tools.chaos.mutants import MUTANTS
from tools.chaos.subscribers import Subscriber
from tools.chaos.watching import Watch


class Product:
    """Serves from an instant on."""

    def __init__(self, serves_from):
        self.serves_from = serves_from

    async def states(self):
        return {"stream": time.monotonic() >= self.serves_from}


def follow(one, begin, end, every=0.05):
    """Candles come to a subscriber between two instants."""

    async def work():
        while (now := time.monotonic()) < end:
            if now >= begin:
                one.arrivals.append(now)
            await asyncio.sleep(every)

    return asyncio.ensure_future(work())


@pytest.mark.slow
async def test_well_again_is_when_all_serve_and_candles_have_flowed_for_a_second():
    now = time.monotonic()
    one, other = (Subscriber(1, symbol, "1s") for symbol in ("BTC-USDT", "ETH-USDT"))
    flows = [follow(one, now, now + 5), follow(other, now + 0.7, now + 5)]
    found = await Watch(Product(now + 0.4), [one, other]).well(now)
    for flow in flows:
        flow.cancel()
    assert found == pytest.approx(0.7, abs=0.35)


@pytest.mark.slow
async def test_what_flows_before_all_serve_does_not_count_and_silence_is_measured():
    now = time.monotonic()
    one = Subscriber(1, "BTC-USDT", "1s")
    flows = [follow(one, now, now + 0.3), follow(one, now + 1.0, now + 5)]
    watch = Watch(Product(now + 0.5), [one])
    found = await watch.well(now)
    for flow in flows:
        flow.cancel()
    assert found == pytest.approx(1.0, abs=0.35)
    assert 0.6 < watch.silence(now) < 1.2


@pytest.mark.slow
async def test_candles_that_stand_again_count_from_when_they_go_on(monkeypatch):
    monkeypatch.setattr(watching, "_SILENCE_S", 0.6)
    now = time.monotonic()
    one = Subscriber(1, "BTC-USDT", "1s")
    flows = [follow(one, now, now + 0.2), follow(one, now + 1.5, now + 5)]
    found = await Watch(Product(now), [one]).well(now)
    for flow in flows:
        flow.cancel()
    assert found == pytest.approx(1.5, abs=0.35)


@pytest.mark.slow
async def test_what_does_not_recover_is_given_up_and_said_why(monkeypatch):
    monkeypatch.setattr(watching, "GIVE_UP_S", 1.3)
    deaf = Watch(Product(0), [Subscriber(1, "BTC-USDT", "1s")])
    assert await deaf.well(time.monotonic()) is None
    assert deaf.why == "no candle of BTC-USDT since all serve"
    gone = Watch(Product(time.monotonic() + 60), [])
    assert await gone.well(time.monotonic()) is None
    assert gone.why == "stream did not serve"


@pytest.fixture
def proxy():
    """Says yes to everything and keeps what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            size = int(self.headers.get("Content-Length") or 0)
            asked.append((self.command, self.path, json.loads(self.rfile.read(size)) if size else None))
            body = json.dumps([{"name": "upstream"}] if self.command == "GET" else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *_):
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


async def test_a_cut_link_refuses_or_swallows_and_its_connections_end_when_it_is_mended(proxy):
    url, asked = proxy
    links = Links(url, range(18500, 18502))
    assert links.lay("redis", "127.0.0.1:6379") == "127.0.0.1:18500"
    assert asked.pop()[2]["upstream"] == "127.0.0.1:6379"
    await links.cut("redis", "reset")
    assert asked == [("POST", "/proxies/redis", {"enabled": False})]
    asked.clear()
    await links.cut("redis", "silent")
    assert [(body["stream"], body["attributes"]) for _, _, body in asked] == [
        ("upstream", {"timeout": 0}), ("downstream", {"timeout": 0}),
    ]  # fmt: skip
    asked.clear()
    await links.mend("redis")
    assert [body for method, _, body in asked if method == "POST"] == [{"enabled": False}, {"enabled": True}]
    assert ("DELETE", "/proxies/redis/toxics/upstream", None) in asked
    links.drop_all()
    assert asked[-1][:2] == ("DELETE", "/proxies/redis")


def test_a_subscriber_goes_on_behind_its_token_and_keeps_what_it_was_told():
    one = Subscriber(1, "BTC-USDT", "1s")

    def take(kind, identity, data):
        one._take({"type": kind, "id": identity, "ts": 1, "data": data})

    candle = {"open_time": 1000, "final": True, "revision": 0}
    take("snapshot", "a", [candle, {**candle, "open_time": 2000, "final": False}])
    take("update", "b", [{**candle, "open_time": 2000}])
    take("heartbeat", "c", None)
    take("error", "", {"code": "SNAPSHOT_FAILED", "detail": "market is away"})
    assert (one._token, one.newest, len(one.snapshot), len(one.finals)) == ("c", 2000, 1, 1)
    take("error", "", {"code": "HOLE", "detail": "gone"})
    assert (one._token, one.broken) == ("", ["HOLE: gone"])


def test_a_full_disk_has_no_room_and_a_freed_one_has(tmp_path):
    small = disk.Disk(tmp_path / "data")
    small.mount()
    if small.why_not:
        pytest.skip(small.why_not)
    try:
        small.fill()
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "data/more").write_bytes(b"x" * 8192)
        small.free()
        (tmp_path / "data/more").write_bytes(b"x" * 8192)
    finally:
        small.unmount()
    assert not (tmp_path / "data").is_mount()


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_finds_what_it_changes(name):
    code = f"from tools.chaos.mutants import MUTANTS; MUTANTS[{name!r}].change()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
