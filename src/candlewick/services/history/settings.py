"""Settings of the history service."""

from typing import Annotated

import msgspec
from msgspec import Meta


class HistorySettings(msgspec.Struct, frozen=True):
    """What is fetched, how gaps are repaired, and how long candles stay."""

    fetch: Annotated[
        bool, Meta(description="Ask the venue for the recent history of every followed symbol, and for down-times.")
    ] = True
    repair: Annotated[bool, Meta(description="Ask the venue again for the candles of every gap in the ledger.")] = True
    fetch_minutes: Annotated[
        int, Meta(ge=0, description="1m candles fetched when a symbol is followed for the first time.")
    ] = 2940
    fetch_candles: Annotated[
        int, Meta(ge=0, description="Candles of each longer timeframe fetched then (3m: half of it).")
    ] = 1000
    downtime_days: Annotated[
        float, Meta(gt=0, description="How far back a time during which nothing ran is filled at the next start.")
    ] = 35.0
    repair_tries: Annotated[
        int, Meta(ge=1, description="Answers without the candles after which a gap counts as lost.")
    ] = 6
    repair_first_s: Annotated[
        float, Meta(gt=0, description="Wait before a repair is tried again; doubles each time.")
    ] = 2.0
    repair_most_s: Annotated[float, Meta(gt=0, description="Longest wait between tries of an open gap.")] = 300.0
    lost_again_hours: Annotated[
        float, Meta(ge=0, description="How often a lost gap is tried again, for a week; 0 for never.")
    ] = 6.0
    commit_ms: Annotated[
        int, Meta(ge=1, le=1000, description="Candles are stored at the latest so long after they arrived.")
    ] = 50
    seconds_hours: Annotated[float, Meta(ge=0, description="How long 1s candles are kept; 0 for ever.")] = 24.0
    candles_days: Annotated[float, Meta(ge=0, description="How long 1m and longer candles are kept; 0 for ever.")] = 0.0
    keep_house: Annotated[
        bool, Meta(description="Forget and fold candles by the clock, and take jobs, also where nothing is asked for.")
    ] = True
    backup_hours: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="This service is backed up so often; 0 turns it off (default: app.backup_hours)."),
    ] = None
    backup_keep: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Backups of this service that are kept (default: app.backup_keep)."),
    ] = None
