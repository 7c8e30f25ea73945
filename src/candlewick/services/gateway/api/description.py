"""One OpenAPI document of all services, one AsyncAPI document of the sockets, and a page that lists both."""

import asyncio
import json
from collections.abc import Mapping
from html import escape
from typing import Any

from candlewick import __version__
from candlewick.contracts.timeframes import SECONDS
from candlewick.kernel.errors import CandlewickError
from candlewick.ports.runtime import ServiceClient
from candlewick.services.gateway.domain import service_of

_DESCRIPTION = (
    "Candles, prices, indicators, gaps and events of the followed symbols. Times are ms UTC. Errors are "
    "application/problem+json with a stable code; every reply carries X-Correlation-Id and X-Candlewick-Mode."
)


async def whole_openapi(own: dict[str, Any], clients: Mapping[str, ServiceClient]) -> dict[str, Any]:
    """The gateway's own document with every path that it forwards; a service that does not answer is left out."""
    document = {**own, "paths": dict(own["paths"]), "info": {**own["info"]}}
    document["info"] |= {"title": "Candlewick", "version": __version__, "description": _DESCRIPTION}
    schemas = dict(own["components"]["schemas"])
    names = [name for name in clients if name != "gateway"]
    for name, found in zip(names, await asyncio.gather(*(_ask(clients[n]) for n in names)), strict=True):
        for path, item in found.get("paths", {}).items():
            if service_of(path) == name:
                document["paths"][path] = item
        schemas.update(found.get("components", {}).get("schemas", {}))
    document["components"] = {"schemas": dict(sorted(schemas.items()))}
    document["paths"] = dict(sorted(document["paths"].items()))
    return document


async def _ask(client: ServiceClient) -> dict[str, Any]:
    try:
        status, _, body = await client.get("/service/openapi.json")
    except CandlewickError:
        return {}
    found: dict[str, Any] = json.loads(body) if status == 200 else {}
    return found


_AFTER = {"after": "Resume token."}
_CHANNELS: dict[str, tuple[str, str, dict[str, str]]] = {
    "/ws/ohlcv/{exchange}/{symbol}/{timeframe}": ("CandleView", "Candles: a snapshot, then what changed.", _AFTER),
    "/ws/tickers": (
        "TickerView",
        "24-hour tickers: all, then what changed, without sparklines.",
        {"symbols": "Named ones only."},
    ),
    "/ws/trades/{exchange}/{symbol}": ("TradeView", "The newest trades, then each new one.", _AFTER),
    "/ws/book/{exchange}/{symbol}": ("BookView", "The best 20 levels, conflated.", {}),
}


def asyncapi(openapi: dict[str, Any]) -> dict[str, Any]:
    """AsyncAPI 3.0 of the sockets; payloads use the schemas of the OpenAPI document."""
    channels, operations, messages = {}, {}, {}
    for address, (item, summary, query) in _CHANNELS.items():
        name = address.split("/")[2]
        data = {"$ref": f"#/components/schemas/{item}"}
        payload = {
            "type": "object",
            "required": ["type", "id", "ts", "data"],
            "properties": {
                "type": {"enum": ["snapshot", "update", "heartbeat", "error"]},
                "id": {"type": "string", "description": "Token to resume with: ?after=ID."},
                "ts": {"type": "integer", "description": "ms UTC"},
                "data": {
                    "oneOf": [
                        data if name == "book" else {"type": "array", "items": data},
                        {"type": "null"},
                        {"type": "object", "properties": {"code": {"type": "string"}, "detail": {"type": "string"}}},
                    ]
                },
            },
        }
        messages[name] = {"payload": payload}
        parameters: dict[str, Any] = {p: {} for p in ("exchange", "symbol", "timeframe") if f"{{{p}}}" in address}
        if "timeframe" in parameters:
            parameters["timeframe"] = {"enum": list(SECONDS)}
        channel: dict[str, Any] = {"address": address, "description": summary, "parameters": parameters,
                                   "messages": {name: {"$ref": f"#/components/messages/{name}"}}}  # fmt: skip
        if query:
            properties = {key: {"type": "string", "description": text} for key, text in query.items()}
            channel["bindings"] = {"ws": {"query": {"type": "object", "properties": properties}}}
        channels[name] = channel
        operations[name] = {"action": "send", "channel": {"$ref": f"#/channels/{name}"}, "summary": summary}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Candlewick sockets", "version": __version__, "description": _DESCRIPTION},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": openapi["components"]["schemas"]},
    }


def page(openapi: dict[str, Any]) -> str:
    """A plain page that lists every route and socket; no script."""
    rows = []
    for path, item in openapi["paths"].items():
        for method, route in item.items():
            text = (route.get("description") or route.get("summary") or "").strip()
            rows.append(f"<tr><td>{escape(method.upper())}<td><code>{escape(path)}</code><td>{escape(text)}")
    rows += [f"<tr><td>WS<td><code>{escape(a)}</code><td>{escape(s)}" for a, (_, s, _) in _CHANNELS.items()]
    style = (
        "body{font:15px/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#231C15;background:#FFFDF8}"
        "td{padding:.3rem .8rem .3rem 0;vertical-align:top;border-top:1px solid #E6DDCE}code{white-space:nowrap}"
        "@media(prefers-color-scheme:dark){"
        "body{color:#F1EAE0;background:#12100E}td{border-color:#2B2620}a{color:#69B4EE}}"
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Candlewick API</title><style>{style}</style><h1>Candlewick API</h1>"
        "<p>Machine-readable: <a href='/openapi.json'>openapi.json</a>, "
        "<a href='/asyncapi.json'>asyncapi.json</a>.</p>"
        f"<table>{''.join(rows)}</table></html>"
    )
