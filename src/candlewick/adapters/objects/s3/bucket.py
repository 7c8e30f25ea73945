"""Which bucket, where, and how patiently it is spoken to."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec
import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from candlewick.adapters.objects.s3.errors import is_no_bucket, translated

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

_CONNECT_S: Final = 5
_READ_S: Final = 30
# The client's own default of 30 s bounds the whole body and would end a large object on a slow line.
_WHOLE_S: Final = 600


class S3Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket, or the part of it below ``prefix``.

    ``endpoint`` None is Amazon's. Without ``access`` and ``secret`` the credentials are the environment's or the
    machine's role. ``patience_s`` is how long a server that is away or failing is tried again.
    """

    name: str
    endpoint: str | None = None
    region: str = "us-east-1"
    access: str | None = None
    secret: str | None = None
    prefix: str = ""
    patience_s: float = 15.0

    def store(self) -> S3Store:
        """A client; nothing is sent yet."""
        # A checksum goes with every upload: the server refuses what was damaged on the way.
        return self._client(prefix=self.prefix or None, checksum_algorithm="crc64nvme", config=None)

    async def make(self) -> bool:
        """Make the bucket; False when it is there already. For servers of one's own: Amazon wants more said.

        Raises ObjectsUnavailable.
        """
        if await self._is_there():
            return False
        # To an address whose host stands for the bucket, an empty object with the bucket's name is the request that
        # makes the bucket.
        root = self._client(prefix=None, checksum_algorithm=None, config={"virtual_hosted_style_request": True})
        try:
            await obstore.put_async(root, self.name, b"", use_multipart=False)
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            # A bucket has no etag, and an answer without one is an error to the client.
            if "ETag Header missing" not in str(error):
                raise translated(error, self.name) from error
        return True

    async def _is_there(self) -> bool:
        """Asked first: a server may answer the request to make a bucket that it has with a failure of its own."""
        root = self._client(prefix=None, checksum_algorithm=None, config=None)
        try:
            # From a key behind all others on: what is in the bucket need not be counted.
            async for _ in obstore.list(root, offset="\U0010ffff", chunk_size=1):
                break
        except (BaseError, OSError) as error:
            if is_no_bucket(error):
                return False
            raise translated(error, self.name) from error
        return True

    def _client(self, *, prefix: str | None, checksum_algorithm: str | None, config: "S3Config | None") -> S3Store:
        settings: S3Config = {"region": self.region, **(config or {})}
        if self.endpoint is not None:
            settings["endpoint"] = self.endpoint
        if self.access is not None and self.secret is not None:
            settings["access_key_id"] = self.access
            settings["secret_access_key"] = self.secret
        if checksum_algorithm is not None:
            settings["checksum_algorithm"] = checksum_algorithm
        client: ClientConfig = {
            "allow_http": self.endpoint is not None and self.endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=_CONNECT_S),
            "read_timeout": timedelta(seconds=_READ_S),
            "timeout": timedelta(seconds=_WHOLE_S),
        }
        retry: RetryConfig = {
            "max_retries": 100,
            "retry_timeout": timedelta(seconds=self.patience_s),
            "backoff": {
                "init_backoff": timedelta(milliseconds=50),
                "max_backoff": timedelta(seconds=1),
                "base": 2,
            },
        }
        return S3Store(self.name, prefix=prefix, config=settings, client_options=client, retry_config=retry)
