"""The few calls of the Confluent API that are needed, over HTTP.

https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx

from candlewick.ports.schemas import RegistryRefused, RegistryUnavailable

_MEDIA: Final = "application/vnd.schemaregistry.v1+json"
_ABSENT: Final = 404
_CONFLICT: Final = 409
# 422 is also how registries name a schema that they hold to be none; 429 passes by itself.
_PASSING: Final = (408, 425, 429)

Reference = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Version:
    """A schema as it stands under a subject."""

    schema_id: int
    version: int
    text: str


class Api:
    """One registry. Every call ends within ``timeout_s`` and raises RegistryUnavailable or RegistryRefused."""

    def __init__(self, url: str, *, timeout_s: float, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/"), timeout=timeout_s, headers={"Accept": f"{_MEDIA}, */*"}, transport=transport
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def find(self, subject: str, text: str, references: list[Reference]) -> Version | None:
        """This very schema among the subject's versions."""
        status, answer = await self._ask("POST", f"/subjects/{_part(subject)}", _schema(text, references))
        if status != 200:
            return None
        return Version(answer["id"], answer["version"], text)

    async def newest(self, subject: str) -> Version | None:
        status, answer = await self._ask("GET", f"/subjects/{_part(subject)}/versions/latest")
        if status != 200:
            return None
        return Version(answer["id"], answer["version"], answer["schema"])

    async def add(self, subject: str, text: str, references: list[Reference]) -> str:
        """A new version. What the registry has against it, empty when it took it."""
        status, answer = await self._ask("POST", f"/subjects/{_part(subject)}/versions", _schema(text, references))
        return "" if status == 200 else str(answer.get("message", status))

    async def level(self, subject: str) -> str:
        """The subject's own level of compatibility, else the one of all, else empty."""
        _, answer = await self._ask("GET", f"/config/{_part(subject)}?defaultToGlobal=true")
        return str(answer.get("compatibilityLevel", ""))

    async def set_level(self, subject: str, level: str) -> None:
        status, answer = await self._ask("PUT", f"/config/{_part(subject)}", {"compatibility": level})
        # Another process may have just set it.
        if status != 200 and await self.level(subject) != level:
            raise RegistryRefused(f"the registry does not set the compatibility of {subject}: {answer.get('message')}")

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Status 200, or 404, 409, 422 with the registry's words."""
        where = str(self._client.base_url.copy_with(username=None, password=None))
        try:
            response = await self._client.request(method, path, json=body)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise RegistryUnavailable(f"the schema registry cannot be reached ({reason}), was {where!r}") from error
        status = response.status_code
        if status >= 500 or status in _PASSING:
            raise RegistryUnavailable(f"the schema registry answers {status}, was {where!r}")
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or status not in (200, _ABSENT, _CONFLICT, 422):
            raise RegistryRefused(
                f"the schema registry answers {status} to {method} {path}, was {where!r}",
                hint="The address must be the root of a Confluent API, with the user and password it asks for",
            )
        return status, answer


def _schema(text: str, references: list[Reference]) -> dict[str, Any]:
    return {"schemaType": "PROTOBUF", "schema": text, "references": references}


def _part(subject: str) -> str:
    return quote(subject, safe="")
