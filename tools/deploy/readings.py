"""How to read each metric: what is normal, and what it says when it is not. For panels, the reference and runbooks."""

from typing import Final

READINGS: Final[dict[str, str]] = {
    "http_request_seconds": "p95 under 5 ms is usual and 100 ms promised; a status of 5xx is ours, 4xx the client's.",
    "events_consumed_total": "Follows what its producers write; flat while they write means a reader that stands.",
    "events_produced_total": "Follows the market; flat on raw.market-data is a dead feed.",
    "events_duplicate_total": "Rises for moments after a restart or a rebalance, which is right; steady growth is not.",
    "events_dead_total": "Zero. Each is a record that its reader could not take; it waits in the dead-letter topic.",
    "consumer_lag": "Small; thousands that fall follow a restart, and growth is a slow reader or too few of them.",
    "service_state": "1 on ready. starting for longer than a minute, or failed, is a service that does not serve.",
    "service_restarts_total": "Zero. Each has its reason in the service's log line before it.",
    "loop_lag_seconds": "p99 under 5 ms; above 50 ms something works on the loop, or the machine has no time.",
    "feed_lag_seconds": "About the network's way to the venue; seconds are a slow line or venue, or a wrong clock.",
    "feed_messages_total": "Follows the market; zero for a minute is a dead connection.",
    "feed_nonsense_total": "Nearly zero. A step up is a change at the venue: the code says which.",
    "feed_connections": "As many as the symbols need; zero means that nothing comes in.",
    "feed_spool_bytes": "Zero. Grows while the log takes less than the venue gives, until the disk is full.",
    "trades_total": "Follows the market, day and night.",
    "trades_late_total": "Nearly zero. Each made a new revision of its candle.",
    "trades_duplicate_total": "Rises after a reconnect, when the venue repeats itself.",
    "candles_total": "At least one a second for every followed symbol that trades.",
    "gaps_open": "Zero, or minutes old: each is asked for again until the venue has answered.",
    "websocket_clients": "Up to 10,000 a process; KEDA adds a process from 6,000 on.",
    "websocket_closed_total": "idle is a client that went away; SLOW one that reads more slowly than its market moves.",
    "log_bytes": "The embedded log alone: up to app.log_max_bytes.",
    "backup_age_seconds": "Up to backup_interval_seconds and the time that one takes; more is one that fails.",
    "backup_interval_seconds": "As app.backup_hours says; absent is a service that makes none by itself.",
    "service_calls_total": "Nearly all ok; a share of others is a service that fails or answers late.",
    "service_call_seconds": "Milliseconds; near the deadline it is a service without time.",
    "service_retries_total": "Nearly zero; growth is a service that answers only now and then.",
    "service_breaker_open": "0. 1 means that the target has failed so often that it is not even asked for a while.",
    "service_missing": "0. 1 means that a service serves without another one: some answers are older or partial.",
    "deadline_exceeded_total": "Nearly zero; growth says where time is spent before the answer.",
}


def of(name: str) -> str:
    """How to read a metric, by its name without the prefix; empty when nobody has said."""
    return READINGS.get(name, "")
