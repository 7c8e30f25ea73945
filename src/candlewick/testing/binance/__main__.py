"""``python -m candlewick.testing.binance --recording PATH --port N``: a Binance on loopback."""

import argparse
import asyncio
import sys
from pathlib import Path

from candlewick.kernel.system import SystemClock
from candlewick.testing.binance.recording import frames, play, split
from candlewick.testing.binance.server import FakeBinance


async def serve(recording: Path | None, port: int, speed: float) -> None:
    server = FakeBinance(SystemClock())
    if recording is None:
        server.market.add("BTC", "USDT")
    else:
        for _, event in frames(recording):
            name = str(event.get("data", {}).get("s", ""))
            if name and name not in server.market.symbols:
                server.market.add(*split(name))
            if len(server.market.symbols) >= 1 and "lastUpdateId" in event:
                break
    await server.start(port=port)
    sys.stdout.write(f"Binance on loopback: {server.url} (REST), {server.stream_url} (streams)\n")
    sys.stdout.flush()
    try:
        if recording is not None:
            await play(server, recording, speed=speed, loop=True)
        else:
            await asyncio.Event().wait()
    finally:
        await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m candlewick.testing.binance", description=__doc__)
    parser.add_argument("--recording", type=Path, help="file or folder of `<receive ns> <frame>` lines, gzip or plain")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 picks one")
    parser.add_argument("--speed", type=float, default=1.0, help="1 plays in real time")
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.recording, options.port, options.speed))
    except KeyboardInterrupt:
        sys.stdout.write("stopped\n")


if __name__ == "__main__":
    main()
