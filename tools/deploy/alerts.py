"""Every alert there is, declared once. Its page in docs/runbooks says what it means, how to look and what to do.

``page`` wakes somebody: customers feel it now, or data is being lost. ``ticket`` waits for the morning. An alert's
name, severity and page are what people hold on to; expressions may become better.
"""

from dataclasses import dataclass
from typing import Literal

from candlewick.app import registry

Severity = Literal["page", "ticket", "none"]
FOLDER = "docs/runbooks"


@dataclass(frozen=True, slots=True)
class Alert:
    """``holds`` is how long the expression must be true before anyone is told; ``summary`` is one line with the
    labels of the series, in Prometheus' template language."""

    name: str
    expression: str
    holds: str
    severity: Severity
    summary: str

    @property
    def page(self) -> str:
        """Its runbook, from the repository's root."""
        words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in self.name)
        return f"{FOLDER}/{words.lstrip('-')}.md"


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that is computed once and read by alerts and panels."""

    name: str
    expression: str
    meaning: str


def _errors(window: str) -> Recording:
    failed = f'sum by (service) (rate(candlewick_http_request_seconds_count{{status=~"5.."}}[{window}]))'
    every = f"sum by (service) (rate(candlewick_http_request_seconds_count[{window}]))"
    return Recording(
        f"candlewick:http_errors:ratio_rate{window}",
        f"({failed} or {every} * 0) / ({every} > 0)",
        f"The part of a service's requests of the last {window} that it answered with 5xx.",
    )


RECORDINGS: tuple[Recording, ...] = (
    *(_errors(window) for window in ("5m", "30m", "1h", "6h")),
    Recording(
        "candlewick:http_request_seconds:p95",
        "histogram_quantile(0.95, sum by (service, le) (rate(candlewick_http_request_seconds_bucket[5m])))",
        "The time within which 95 of 100 requests to a service were answered, over five minutes.",
    ),
    Recording(
        "candlewick:feed_lag_seconds:p99",
        "histogram_quantile(0.99, sum by (exchange, le) (rate(candlewick_feed_lag_seconds_bucket[5m])))",
        "The age that 99 of 100 batches of trades stay under when they arrive, over five minutes.",
    ),
)

_ABSENT = " or ".join(f'absent(candlewick_service_state{{service="{name}"}})' for name in registry.SERVICES)
# 99.9 % of requests in 30 days; 14.4 times the budget's pace spends 2 % of it in an hour, 6 times 5 % in six hours.
_BUDGET = 0.001


def _burns(short: str, long: str, pace: float) -> str:
    limit = f"{pace * _BUDGET:g}"
    return f"candlewick:http_errors:ratio_rate{short} > {limit} and candlewick:http_errors:ratio_rate{long} > {limit}"


# The stream's workers share what is behind, so theirs is summed up; other services' processes may read all of it each.
_READERS = 'max by (service, topics) (candlewick_consumer_lag{service!="stream"})'

ALERTS: tuple[Alert, ...] = (
    Alert(
        "AlertsReachSomebody", "vector(1)", "0m", "none",
        "Alerts work: this one is always firing, and whoever receives it must miss it when it stops.",
    ),
    Alert(
        "ServiceUnreachable", 'up{job="candlewick"} == 0', "1m", "page",
        "{{ $labels.instance }} does not answer Prometheus.",
    ),
    Alert(
        "ServiceMissing", _ABSENT, "2m", "page",
        "No process runs the service {{ $labels.service }}.",
    ),
    Alert(
        "ServiceNotReady",
        'sum by (service) (candlewick_service_state{state="ready"}) == 0', "1m", "page",
        "No process of {{ $labels.service }} is ready.",
    ),
    Alert(
        "ServedWithoutAnother",
        "max by (service, target) (candlewick_service_missing) > 0", "3m", "ticket",
        "{{ $labels.service }} serves without {{ $labels.target }}: some answers are old or partial.",
    ),
    Alert(
        "ServiceRestarts",
        "sum by (service) (increase(candlewick_service_restarts_total[15m])) > 3", "0m", "ticket",
        "{{ $labels.service }} was started again {{ $value | humanize }} times in 15 minutes.",
    ),
    Alert(
        "ErrorsSpendTheBudgetFast", _burns("5m", "1h", 14.4), "2m", "page",
        "{{ $labels.service }} answers {{ $value | humanizePercentage }} of requests with 5xx.",
    ),
    Alert(
        "ErrorsSpendTheBudgetSlowly", _burns("30m", "6h", 6), "15m", "ticket",
        "{{ $labels.service }} has answered {{ $value | humanizePercentage }} of requests with 5xx for hours.",
    ),
    Alert(
        "RequestsSlow", "candlewick:http_request_seconds:p95 > 0.1", "10m", "ticket",
        "95 of 100 requests to {{ $labels.service }} take up to {{ $value | humanizeDuration }}; 100 ms are promised.",
    ),
    Alert(
        "LoopBlocked",
        "histogram_quantile(0.99, sum by (job, instance, le) (rate(candlewick_loop_lag_seconds_bucket[5m]))) > 0.05",
        "10m", "ticket",
        "The event loop of {{ $labels.instance }} runs {{ $value | humanizeDuration }} late.",
    ),
    Alert(
        "FeedDisconnected", "sum by (exchange) (candlewick_feed_connections) == 0", "1m", "page",
        "No connection to {{ $labels.exchange }} is open.",
    ),
    Alert(
        "FeedSilent", "sum by (exchange) (rate(candlewick_trades_total[2m])) == 0", "1m", "page",
        "No trade has come from {{ $labels.exchange }} for minutes.",
    ),
    Alert(
        "FeedLate", "candlewick:feed_lag_seconds:p99 > 2", "5m", "ticket",
        "Trades of {{ $labels.exchange }} arrive {{ $value | humanizeDuration }} after they were made.",
    ),
    Alert(
        "FeedNonsense",
        "sum by (exchange) (rate(candlewick_feed_nonsense_total[10m])) / "
        "(sum by (exchange) (rate(candlewick_feed_messages_total[10m])) > 0) > 0.001",
        "5m", "ticket",
        "{{ $value | humanizePercentage }} of {{ $labels.exchange }}'s frames are refused.",
    ),
    Alert(
        "TradesDropped",
        'sum by (exchange, code) (increase(candlewick_feed_nonsense_total{code=~"SPOOL_FULL|SPOOL_CORRUPT"}[10m])) > 0',
        "0m", "page",
        "The collector's disk could not keep trades of {{ $labels.exchange }}: {{ $labels.code }}.",
    ),
    Alert(
        "CandlesStopped",
        "sum(rate(candlewick_candles_total[3m])) == 0 and sum(rate(candlewick_trades_total[3m])) > 0", "2m", "page",
        "Trades come in and no candle comes out.",
    ),
    Alert(
        "StreamBehind",
        'sum by (service) (candlewick_consumer_lag{service="stream"}) > 50000 and '
        'sum by (service) (deriv(candlewick_consumer_lag{service="stream"}[5m])) > 0',
        "3m", "page",
        "{{ $labels.service }} is {{ $value | humanize }} records behind, and falls further.",
    ),
    Alert(
        "ReaderBehind",
        f"{_READERS} > 20000 and "
        'max by (service, topics) (deriv(candlewick_consumer_lag{service!="stream"}[5m])) > 0',
        "5m", "page",
        "{{ $labels.service }} is {{ $value | humanize }} records of {{ $labels.topics }} behind, and falls further.",
    ),
    Alert(
        "ReaderStands",
        'max by (service) (min_over_time(candlewick_consumer_lag{service!="stream"}[10m])) > 0 '
        "unless sum by (service) (rate(candlewick_events_consumed_total[10m])) > 0",
        "5m", "ticket",
        "{{ $labels.service }} has {{ $value | humanize }} records to read and has taken none for ten minutes.",
    ),
    Alert(
        "TradesLate",
        "sum(rate(candlewick_trades_late_total[15m])) / (sum(rate(candlewick_trades_total[15m])) > 0) > 0.001",
        "10m", "ticket",
        "{{ $value | humanizePercentage }} of trades came after their candle was final.",
    ),
    Alert(
        "DeadLetters", "sum by (service, topic, code) (increase(candlewick_events_dead_total[10m])) > 0", "0m",
        "ticket", "{{ $labels.service }} could not take records of {{ $labels.topic }}: {{ $labels.code }}.",
    ),
    Alert(
        "GapsStayOpen", "max by (exchange) (candlewick_gaps_open) > 0", "30m", "ticket",
        "{{ $value | humanize }} gaps of {{ $labels.exchange }} have not been closed.",
    ),
    Alert(
        "BackupsStopped",
        "min by (service) (candlewick_backup_age_seconds) > "
        "1.5 * max by (service) (candlewick_backup_interval_seconds)",
        "15m", "ticket",
        "The newest backup of {{ $labels.service }} is {{ $value | humanizeDuration }} old.",
    ),
    Alert(
        "SocketsNearlyFull", "max by (instance) (candlewick_websocket_clients) > 9000", "2m", "ticket",
        "{{ $labels.instance }} has {{ $value | humanize }} clients; 10,000 is what it is built for.",
    ),
    Alert(
        "ClientsTooSlow", 'sum(rate(candlewick_websocket_closed_total{reason="SLOW"}[10m])) > 0.1', "10m", "ticket",
        "{{ $value | humanize }} sockets a second are closed because their clients do not read.",
    ),
)  # fmt: skip
