"""Where the services of other processes are, by configuration."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from candlewick.app import registry
from candlewick.kernel.settings import BadSettings

# What one listens on to be reached by everyone is itself reached here.
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
ALL: Final = "*"


class Addresses:
    """Base URL of each service: what ``urls`` names, else ``host`` and ``port`` plus the service's place.

    ``urls`` are ``market=http://10.0.0.5:8001``; ``*=http://{service}:8000`` stands for all that are not named, where
    ``{service}`` is the name and ``{port}`` is ``port`` plus the place.
    """

    def __init__(self, urls: Sequence[str], host: str, port: int) -> None:
        """Raises BadSettings."""
        self._named = _parsed(urls)
        host = _EVERYWHERE.get(host, host)
        self._default = f"http://{f'[{host}]' if ':' in host else host}:{{port}}"
        self._port = port

    def of(self, service: str) -> str:
        """Without a slash at the end. Raises UnknownService."""
        port = self._port + registry.load(service).place
        pattern = self._named.get(service) or self._named.get(ALL) or self._default
        return pattern.replace("{service}", service).replace("{port}", str(port))


def _parsed(urls: Sequence[str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for entry in urls:
        name, equals, url = (part.strip() for part in entry.partition("="))
        if not equals or (name != ALL and name not in registry.SERVICES):
            known = ", ".join(registry.SERVICES)
            raise BadSettings(f"app.service_urls takes SERVICE=URL for {known} or *, was {entry!r}")
        plain = url.replace("{service}", "service").replace("{port}", "1")
        try:
            parts = urlsplit(plain)
            is_sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            is_sound = False
        if not is_sound or parts.query or parts.fragment or "{" in plain:
            raise BadSettings(f"app.service_urls takes http(s) URLs without a query, was {entry!r}")
        found[name] = url.rstrip("/")
    return found
