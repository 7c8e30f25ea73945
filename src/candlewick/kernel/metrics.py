"""The metrics catalogue: every metric there is, declared once with its meaning, exported for Prometheus."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

Kind = Literal["counter", "gauge", "histogram"]
LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: Prometheus name without the ``candlewick_`` prefix, unit last."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()


CATALOGUE: tuple[Metric, ...] = (
    Metric("http_request_seconds", "histogram", "Time to answer an HTTP request.", ("service", "route", "status")),
    Metric("events_consumed_total", "counter", "Events handed to a service's handlers.", ("service", "topic")),
    Metric("events_produced_total", "counter", "Events written to the log by a service.", ("service", "topic")),
    Metric("events_duplicate_total", "counter", "Events dropped because they had been seen.", ("service", "topic")),
    Metric("events_dead_total", "counter", "Events put among the dead letters.", ("service", "topic", "code")),
    Metric(
        "service_calls_total", "counter", "Questions put to another service, by how they ended.", ("target", "outcome")
    ),
    Metric(
        "service_call_seconds", "histogram", "Time until another service had answered, retries included.", ("target",)
    ),
    Metric("service_retries_total", "counter", "Questions put to another service once more.", ("target",)),
    Metric(
        "service_breaker_open", "gauge", "1 while another service is not asked because it did not answer.", ("target",)
    ),
    Metric(
        "service_missing", "gauge", "1 while a service that this one depends on does not serve.", ("service", "target")
    ),
    Metric(
        "deadline_exceeded_total",
        "counter",
        "Requests refused or given up because the asker's time was over.",
        ("service",),
    ),
    Metric(
        "consumer_lag",
        "gauge",
        "Records visible in the log and not yet taken by a service's readers of these topics.",
        ("service", "topics"),
    ),
    Metric("service_state", "gauge", "1 for the state a service is in.", ("service", "state")),
    Metric("service_restarts_total", "counter", "Times a service was started again after a failure.", ("service",)),
    Metric("loop_lag_seconds", "histogram", "How late the event loop runs its timers."),
    Metric("feed_lag_seconds", "histogram", "From a trade's time at the venue to its arrival here.", ("exchange",)),
    Metric("feed_messages_total", "counter", "Frames received from a venue.", ("exchange",)),
    Metric("feed_nonsense_total", "counter", "Frames or rows refused, by reason.", ("exchange", "code")),
    Metric("feed_connections", "gauge", "Open connections to a venue.", ("exchange",)),
    Metric("feed_spool_bytes", "gauge", "Trades waiting on disk because the log was slow.", ("exchange",)),
    Metric("trades_total", "counter", "Trades written to the log.", ("exchange",)),
    Metric("trades_late_total", "counter", "Trades later than their candle's finality.", ("operator",)),
    Metric("trades_duplicate_total", "counter", "Trades dropped because their id had been seen.", ("operator",)),
    Metric("candles_total", "counter", "Final candles written, revisions included.", ("operator",)),
    Metric("gaps_open", "gauge", "Entries of the gap ledger that are not closed.", ("exchange",)),
    Metric("websocket_clients", "gauge", "Open WebSocket connections."),
    Metric("websocket_closed_total", "counter", "Connections this side closed, by reason.", ("reason",)),
    Metric("log_bytes", "gauge", "Size of the embedded event log."),
    Metric(
        "backup_age_seconds",
        "gauge",
        "Age of a service's newest complete backup, or how long it has tried for one; absent where it makes none.",
        ("service",),
    ),
    Metric("backup_interval_seconds", "gauge", "How often a service makes a backup by itself.", ("service",)),
)
_PREFIX = "candlewick_"


class Metrics:
    """One process's metrics. Asking for a name that is not in the catalogue is a programming error."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}
        self._series: dict[tuple[str, tuple[str, ...]], Counter | Gauge | Histogram] = {}
        self._before: list[Callable[[], None]] = []
        for metric in CATALOGUE:
            name = _PREFIX + metric.name
            if metric.kind == "counter":
                self._metrics[metric.name] = Counter(name, metric.meaning, metric.labels, registry=self._registry)
            elif metric.kind == "gauge":
                self._metrics[metric.name] = Gauge(name, metric.meaning, metric.labels, registry=self._registry)
            else:
                self._metrics[metric.name] = Histogram(
                    name, metric.meaning, metric.labels, registry=self._registry, buckets=LATENCY_BUCKETS
                )

    def count(self, name: str, by: float = 1, *labels: str) -> None:
        """Add to a counter."""
        metric = self._of(name, labels)
        assert isinstance(metric, Counter)
        metric.inc(by)

    def gauge(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        metric = self._of(name, labels)
        assert isinstance(metric, Gauge)
        metric.set(value)

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add one observation to a histogram, in its unit (seconds)."""
        metric = self._of(name, labels)
        assert isinstance(metric, Histogram)
        metric.observe(value)

    def _of(self, name: str, labels: tuple[str, ...]) -> Counter | Gauge | Histogram:
        """The series of these labels; kept, because asking the library for it costs more than counting."""
        try:
            return self._series[name, labels]
        except KeyError:
            metric = self._metrics[name]
            series = self._series[name, labels] = metric.labels(*labels) if labels else metric
            return series

    def before_export(self, refresh: Callable[[], None]) -> Callable[[], None]:
        """Call ``refresh`` before each export, for gauges that are read rather than set, until what is returned is
        called."""
        self._before.append(refresh)
        return lambda: self._before.remove(refresh)

    def export(self) -> bytes:
        """The Prometheus text format."""
        for refresh in self._before:
            refresh()
        return bytes(generate_latest(self._registry))
