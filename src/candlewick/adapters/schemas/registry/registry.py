"""``ports.schemas`` on a registry that speaks the Confluent API."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import httpx

from candlewick.adapters.schemas.registry.api import Api, Reference, Version
from candlewick.contracts.proto_text import BadSchemaText, SchemaText, faults, parse
from candlewick.contracts.schemas import ENVELOPE_FILE, SchemaHeaders, Subject, schema_header, subjects, text_of
from candlewick.contracts.topics import Topic
from candlewick.ports.schemas import SchemaIncompatible, SubjectState

_LEVEL: Final = "BACKWARD"


class SchemaRegistry:
    """Registers schemas as they stand in proto/: one subject a message and topic, one a file that others import.

    Of a schema that does not fit, our own comparison names the field; what it finds nothing wrong with, the registry
    may still refuse. A schema registered before is found again however much newer ones there are, so an old version
    and a new one run side by side. To register twice, or from many processes at once, is to register once.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "",
        timeout_s: float = 5.0,
        text_of: Callable[[str], str] = text_of,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``url`` is the root of the API, with user and password where it asks for them. ``prefix`` goes before every
        subject. ``timeout_s`` bounds every call. ``text_of`` gives the schema of a path."""
        self._api = Api(url, timeout_s=timeout_s, transport=transport)
        self._prefix = prefix
        self._text_of = text_of

    async def close(self) -> None:
        await self._api.close()

    async def check(self, topics: Sequence[Topic]) -> list[SubjectState]:
        """Every subject of these topics, files that others import first; changes nothing."""
        found: list[SubjectState] = []
        known: dict[str, Version] = {}
        for file in self._shared(topics):
            name, references = self._prefix + file, self._references(file, known)
            found.append(await self._compare(name, file, references))
            if version := await self._api.find(name, self._text_of(file), references) or await self._api.newest(name):
                known[file] = version
        for subject in subjects(topics):
            references = self._references(subject.file, known)
            found.append(await self._compare(self._prefix + subject.name, subject.file, references))
        return found

    async def register(self, topics: Sequence[Topic]) -> SchemaHeaders:
        """What is new or newer is registered; gives the header of every message."""
        known: dict[str, Version] = {}
        for file in self._shared(topics):
            known[file] = await self._registered(self._prefix + file, file, self._references(file, known))
        headers: dict[Subject, bytes] = {}
        for subject in subjects(topics):
            references = self._references(subject.file, known)
            version = await self._registered(self._prefix + subject.name, subject.file, references)
            place = parse(version.text).outermost.index(subject.message)
            headers[subject] = schema_header(version.schema_id, place)
        return SchemaHeaders(headers)

    async def _registered(self, name: str, file: str, references: list[Reference]) -> Version:
        text = self._text_of(file)
        if (found := await self._api.find(name, text, references)) is not None:
            return found
        state = await self._beside(name, text)
        if state.state == "incompatible":
            raise _incompatible(name, "; ".join(state.faults))
        # Before the first version, so that no other can come in between.
        if await self._api.level(name) != _LEVEL:
            await self._api.set_level(name, _LEVEL)
        refusal = await self._api.add(name, text, references)
        found = await self._api.find(name, text, references)
        if found is None:
            raise _incompatible(name, refusal or "the registry does not find what it has just taken")
        return found

    async def _compare(self, name: str, file: str, references: list[Reference]) -> SubjectState:
        text = self._text_of(file)
        if await self._api.find(name, text, references) is not None:
            return SubjectState(name, "same")
        return await self._beside(name, text)

    async def _beside(self, name: str, text: str) -> SubjectState:
        """Ours beside the newest that is registered, which is not ours."""
        newest = await self._api.newest(name)
        if newest is None:
            return SubjectState(name, "new")
        try:
            found = faults(parse(newest.text), parse(text))
        except BadSchemaText as error:
            found = [f"what is registered cannot be read: {error}"]
        return SubjectState(name, "incompatible" if found else "newer", tuple(found))

    def _shared(self, topics: Sequence[Topic]) -> list[str]:
        """The files that others import, and the envelope's; each behind what it imports itself."""
        found: list[str] = []

        def visit(file: str) -> None:
            for one in self._imports(file):
                visit(one)
            if file not in found:
                found.append(file)

        visit(ENVELOPE_FILE)
        for subject in subjects(topics):
            for file in self._imports(subject.file):
                visit(file)
        return found

    def _imports(self, file: str) -> tuple[str, ...]:
        schema: SchemaText = parse(self._text_of(file))
        return schema.imports

    def _references(self, file: str, known: Mapping[str, Version]) -> list[Reference]:
        return [
            {"name": one, "subject": self._prefix + one, "version": known[one].version}
            for one in self._imports(file)
            if one in known
        ]


def _incompatible(name: str, why: str) -> SchemaIncompatible:
    return SchemaIncompatible(
        f"the schema of {name} does not fit what is registered: {why}",
        hint="Run a version whose schema follows the registered one, see 'candlewick schemas check'",
    )
