"""Settings of the realtime service."""

from typing import Annotated

import msgspec
from msgspec import Meta


class RealtimeSettings(msgspec.Struct, frozen=True):
    """How clients are served."""

    heartbeat_s: Annotated[float, Meta(gt=0, description="Time between heartbeat messages.")] = 30.0
    idle_s: Annotated[float, Meta(gt=0, description="A client that says nothing for this long is closed.")] = 300.0
    snapshot: Annotated[int, Meta(ge=1, le=1500, description="Candles in a snapshot.")] = 500
    queue_bytes: Annotated[
        int, Meta(gt=0, description="Final candles and trades waiting for one client; beyond it the client is closed.")
    ] = 4 << 20
    send_s: Annotated[
        float, Meta(gt=0, description="A client that takes nothing for this long while data waits is closed.")
    ] = 10.0
    ticker_interval_ms: Annotated[int, Meta(ge=50, description="Time between ticker updates.")] = 250
    replay_records: Annotated[
        int, Meta(ge=1, description="Log records read at most to resume a client; beyond it the client gets HOLE.")
    ] = 20_000
