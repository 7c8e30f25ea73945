"""Grafana's dashboards from the metrics catalogue: every metric has a panel that says what it means and how to read it.

A panel's query follows from the metric's kind: counters as rates, histograms as p50 and p99, gauges as they are. Where
that is not enough, ``WRITTEN`` says it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from candlewick.kernel.metrics import CATALOGUE, Metric
from tools.deploy import readings
from tools.deploy.alerts import ALERTS

FOLDER = Path("deploy/helm/candlewick/files/dashboards")
_WIDTH, _HEIGHT, _ACROSS = 8, 7, 3
_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_UNITS: Final = {"_seconds": "s", "_bytes": "bytes"}


@dataclass(frozen=True, slots=True)
class Board:
    """``takes`` are beginnings of metric names; the first board that takes a metric shows it."""

    name: str
    title: str
    meaning: str
    takes: tuple[str, ...]


BOARDS: tuple[Board, ...] = (
    Board(
        "feeds",
        "Feeds and candles",
        "From the venues' sockets to final candles.",
        ("feed_", "trades_", "candles_", "gaps_"),
    ),
    Board(
        "events", "Events and the log", "What services write, read and fail to read.", ("events_", "consumer_", "log_")
    ),
    Board(
        "doors",
        "Requests, sockets and calls",
        "What people and services ask, and how it is answered.",
        ("http_", "websocket_", "service_call", "service_retries", "service_breaker", "service_missing", "deadline_"),
    ),
    Board("services", "Services", "Which services run and how well.", ("service_", "loop_", "")),
)
# Where the kind alone does not say how to look at a metric.
WRITTEN: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "http_request_seconds": (
        ("candlewick:http_request_seconds:p95", "p95 {{service}}"),
        ("candlewick:http_errors:ratio_rate5m", "part with 5xx {{service}}"),
    ),
    "feed_lag_seconds": (("candlewick:feed_lag_seconds:p99", "p99 {{exchange}}"),),
    "service_state": (('sum by (service) (candlewick_service_state{state="ready"})', "ready {{service}}"),),
}


def board_of(metric: Metric) -> Board:
    """The dashboard that shows a metric."""
    return next(board for board in BOARDS if metric.name.startswith(board.takes))


def queries(metric: Metric) -> list[tuple[str, str]]:
    """PromQL and legend of a metric's panel."""
    if metric.name in WRITTEN:
        return list(WRITTEN[metric.name])
    name = f"candlewick_{metric.name}"
    by = f" by ({', '.join(metric.labels)}) " if metric.labels else ""
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels)
    if metric.kind == "counter":
        return [(f"sum{by}(rate({name}[$__rate_interval]))", legend or "a second")]
    if metric.kind == "gauge":
        return [(f"sum{by}({name})", legend or "now")]
    within = f" by ({', '.join((*metric.labels, 'le'))}) "
    return [
        (f"histogram_quantile({part}, sum{within}(rate({name}_bucket[$__rate_interval])))", f"{shown} {legend}".strip())
        for part, shown in (("0.5", "p50"), ("0.99", "p99"))
    ]


def unit(metric: Metric) -> str:
    """Grafana's name of a metric's unit."""
    if metric.kind == "counter":
        return "cps"
    return next((shown for end, shown in _UNITS.items() if metric.name.endswith(end)), "short")


def panel(metric: Metric, place: int) -> dict[str, Any]:
    """One metric over time, with its meaning, how to read it, and the alerts that watch it."""
    watched = [alert for alert in ALERTS if f"candlewick_{metric.name}" in alert.expression]
    text = [metric.meaning, readings.of(metric.name)]
    text += [f"Alert {alert.name}: {alert.page}" for alert in watched]
    return {
        "id": place + 1,
        "type": "timeseries",
        "title": f"candlewick_{metric.name}",
        "description": "\n\n".join(text),
        "datasource": _SOURCE,
        "gridPos": {
            "x": place % _ACROSS * _WIDTH,
            "y": place // _ACROSS * _HEIGHT,
            "w": _WIDTH,
            "h": _HEIGHT,
        },
        "fieldConfig": {
            "defaults": {"unit": unit(metric), "min": 0, "custom": {"fillOpacity": 8, "showPoints": "never"}},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + i), "expr": expression, "legendFormat": legend, "datasource": _SOURCE}
            for i, (expression, legend) in enumerate(queries(metric))
        ],
    }


def document(board: Board) -> dict[str, Any]:
    """One dashboard; its uid stays, so that links to it do."""
    shown = [metric for metric in CATALOGUE if board_of(metric) is board]
    return {
        "uid": f"candlewick-{board.name}",
        "title": f"Candlewick: {board.title}",
        "description": board.meaning,
        "tags": ["candlewick"],
        "editable": False,
        "schemaVersion": 39,
        "version": 1,
        "refresh": "15s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "utc",
        "templating": {
            "list": [{"name": "source", "label": "Data", "type": "datasource", "query": "prometheus", "hide": 0}]
        },
        "links": [
            {"type": "dashboards", "tags": ["candlewick"], "title": "Candlewick", "asDropdown": True, "keepTime": True}
        ],
        "annotations": {
            "list": [
                {
                    "name": "Alerts",
                    "enable": True,
                    "iconColor": "red",
                    "datasource": _SOURCE,
                    "expr": 'ALERTS{alertstate="firing",alertname!="AlertsReachSomebody"}',
                    "titleFormat": "{{alertname}}",
                }
            ]
        },
        "panels": [panel(metric, place) for place, metric in enumerate(shown)],
    }


def text(board: Board) -> str:
    """The dashboard as a file."""
    return json.dumps(document(board), indent=1, ensure_ascii=False) + "\n"
