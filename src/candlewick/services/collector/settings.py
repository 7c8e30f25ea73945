"""Settings of the collector."""

from typing import Annotated

import msgspec
from msgspec import Meta


class CollectorSettings(msgspec.Struct, frozen=True):
    """How venues are followed."""

    exchange: Annotated[str, Meta(description="The venue to connect to.")] = "demo"
    follow: Annotated[bool, Meta(description="Connect to the venue; off while a file is played instead.")] = True
    replay_paths: Annotated[
        tuple[str, ...], Meta(description="Recordings to play instead of connecting to a venue.")
    ] = ()
    replay_speed: Annotated[float, Meta(ge=0, description="Times real time; 0 is as fast as possible.")] = 1.0
    queue_bytes: Annotated[
        int, Meta(gt=0, description="Messages waiting for the log; beyond it trades go to the spool on disk.")
    ] = 64 << 20
    linger_ms: Annotated[float, Meta(ge=0, description="How long messages are gathered before they are written.")] = 2.0
