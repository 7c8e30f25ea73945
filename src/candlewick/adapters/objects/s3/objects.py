"""``ports.objects`` on an S3 server."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from candlewick.adapters.objects.s3.bucket import S3Bucket
from candlewick.adapters.objects.s3.errors import is_beyond_the_end, no_bucket, translated
from candlewick.adapters.objects.s3.keys import Style, key_of, name_of, span_of
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.kernel.ids import IdSource
from candlewick.ports.objects import ObjectExists, ObjectInfo, ObjectNotFound, ObjectsUnavailable

T = TypeVar("T")

_LIST_PAGE: Final = 1000
# Parts of an upload that is given up stay on the server, unseen, until its bucket's rules sweep them; so only what is
# large goes in parts.
_LARGEST_WHOLE: Final = 32 << 20
_PART: Final = 16 << 20
_PARTS_AT_ONCE: Final = 4
_MARK: Final = "candlewick-put"


class S3Objects:
    """Objects of one bucket; any number of processes may share it.

    Every upload carries a checksum that the server verifies. An etag is the server's, made of the content: putting the
    same bytes again keeps it. Times are the server's, in whole seconds. ``delete`` looks first, so of two at once both
    may say that there was something. Give the bucket a rule that sweeps unfinished uploads (puts above 32 MiB go in
    parts; those of a killed process stay behind unseen).
    """

    def __init__(self, bucket: S3Bucket, ids: IdSource, *, style: Style = "plain") -> None:
        """``style`` is ``folders`` where the server keeps objects as files (versitygw); it must not change later."""
        self._bucket = bucket
        self._ids = ids
        self._style: Style = style
        self._client: S3Store | None = bucket.store()
        self._is_bucket_seen = False

    async def put(self, key: str, data: bytes, *, create_only: bool = False) -> ObjectInfo:
        """Raises BadObjectKey, ObjectExists, StorageFull, ObjectsUnavailable."""
        name = name_of(key, self._style)
        etag = await (self._create(key, name, data) if create_only else self._replace(key, name, data))
        # The answer to a put has no time in it.
        try:
            modified_ns = (await self.info(key)).modified_ns
        except ObjectNotFound:
            # Somebody has deleted it since; put it was.
            modified_ns = 0
        return ObjectInfo(key, len(data), etag, modified_ns)

    async def get(self, key: str) -> bytes:
        """Raises BadObjectKey, ObjectNotFound, ObjectsUnavailable."""
        name = name_of(key, self._style)

        async def read() -> bytes:
            found = await obstore.get_async(self._store, name)
            return bytes(await found.bytes_async())

        return await self._run(key, read)

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """Raises BadObjectKey, ObjectNotFound, ObjectsUnavailable."""
        name = name_of(key, self._style)
        start = max(start, 0)
        if end <= start:
            # The server knows no empty range, but whether the object is there is part of the answer.
            await self.info(key)
            return b""

        async def read() -> bytes:
            try:
                return bytes(await obstore.get_range_async(self._store, name, start=start, end=end))
            except BaseError as error:
                if is_beyond_the_end(error):
                    return b""
                raise

        return await self._run(key, read)

    async def info(self, key: str) -> ObjectInfo:
        """Raises BadObjectKey, ObjectNotFound, ObjectsUnavailable."""
        name = name_of(key, self._style)
        try:
            return _info(key, await self._run(key, lambda: obstore.head_async(self._store, name)))
        except ObjectNotFound:
            if not self._is_bucket_seen:
                await self._look_for_bucket(key)
            raise

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """In pages of 1000. What is put or deleted while listing may be left out. Raises ObjectsUnavailable."""
        span = span_of(prefix, self._style)
        if span is None:
            return
        folder, after = span
        pages = obstore.list(self._store, folder, offset=after, chunk_size=_LIST_PAGE)
        while True:
            try:
                page = await self._run(prefix, lambda: anext(pages))
            except StopAsyncIteration:
                return
            for found in page:
                key = key_of(found["path"], self._style)
                if key is None:
                    continue
                if key.startswith(prefix):
                    yield _info(key, found)
                elif key > prefix:
                    return

    async def delete(self, key: str) -> bool:
        """Raises BadObjectKey, ObjectsUnavailable."""
        name = name_of(key, self._style)
        try:
            await self.info(key)
        except ObjectNotFound:
            return False
        await self._run(key, lambda: obstore.delete_async(self._store, name))
        return True

    async def close(self) -> None:
        """Nothing more may be asked."""
        self._client = None

    @property
    def _store(self) -> S3Store:
        if self._client is None:
            raise ObjectsUnavailable(f"the objects are closed, was {self._bucket.name!r}")
        return self._client

    async def _replace(self, key: str, name: str, data: bytes) -> str:
        put = await self._run(
            key,
            lambda: obstore.put_async(
                self._store,
                name,
                data,
                use_multipart=len(data) > _LARGEST_WHOLE,
                chunk_size=_PART,
                max_concurrency=_PARTS_AT_ONCE,
            ),
        )
        return _bare(put["e_tag"])

    async def _create(self, key: str, name: str, data: bytes) -> str:
        mark = self._ids.new().hex
        try:
            put = await self._run(
                key, lambda: obstore.put_async(self._store, name, data, mode="create", attributes={_MARK: mark})
            )
            return _bare(put["e_tag"])
        except ObjectExists:
            # A put whose answer got lost is sent again by the client and then finds itself.
            own = await self._etag_if_marked(key, name, mark)
            if own is None:
                raise
            return own

    async def _etag_if_marked(self, key: str, name: str, mark: str) -> str | None:
        try:
            found = await self._run(key, lambda: obstore.get_async(self._store, name, options={"head": True}))
        except ObjectNotFound:
            return None
        return _bare(found.meta["e_tag"]) if found.attributes.get(_MARK) == mark else None

    async def _look_for_bucket(self, key: str) -> None:
        """The server's answer to a question for one object's state does not say that there is no bucket."""
        try:
            async for _ in self.list():
                break
        except ObjectNotFound as error:
            raise no_bucket(key) from error
        self._is_bucket_seen = True

    async def _run(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await ask()
        except AlreadyExistsError as error:
            if "ObjectParentIsFile" in str(error):
                raise ObjectExists(
                    f"a part of the key is an object and this server keeps objects as files, was {key!r}",
                    hint="Use the style 'folders' with it",
                ) from error
            raise ObjectExists(f"the key is taken, was {key!r}") from None
        except (BaseError, OSError) as error:
            raise translated(error, key) from error
        self._is_bucket_seen = True
        return answer


def _info(key: str, found: Mapping[str, Any]) -> ObjectInfo:
    modified: datetime = found["last_modified"]
    # Only listings have parts of a second; both must say the same.
    return ObjectInfo(key, found["size"], _bare(found["e_tag"]), int(modified.timestamp()) * NS_PER_SECOND)


def _bare(etag: str | None) -> str:
    return (etag or "").strip('"')
