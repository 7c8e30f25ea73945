"""The Ray cluster as this process sees it. Ray is one per process: whoever needs it shares the connection.

``ray://host:port`` (a Ray client server) is what a service uses: the process stays outside of the cluster, and a
cluster that goes away is an error and no more. ``host:port`` makes the process a part of it, which needs a node of the
cluster on the same machine, and Ray ends such a process when the cluster goes away for a minute. ``local`` starts a
cluster of this process's own, with everything it writes in a given folder.
"""

import asyncio
import os
import secrets
from pathlib import Path
from threading import Lock
from typing import Any, Final

from candlewick.kernel.errors import Rejected, Retryable

LOCAL: Final = "local"
NAMESPACE: Final = "candlewick"
# Ray puts sockets some 65 characters below its folder, and a socket's path has 107 at most (unix(7)).
_LONGEST_FOLDER: Final = 40
_OBJECT_BYTES: Final = 80 << 20
# On loopback, and yet no address that Ray takes for a mistake and replaces with the machine's own.
_LOOPBACK: Final = "127.0.0.2"
_turn = Lock()
_users: dict[str, int] = {}


class RayUnavailable(Retryable):
    """The Ray cluster does not answer; jobs that need it wait."""

    code = "RAY_UNAVAILABLE"


class BadRayFolder(Rejected):
    """A local Ray cluster cannot keep its files in this folder."""

    code = "BAD_RAY_FOLDER"


class Cluster:
    """A connection, made when it is first needed and given up when the last user has left."""

    def __init__(self, address: str, *, folder: Path | None = None, cpus: int | None = None) -> None:
        """``folder`` and ``cpus`` are a local cluster's: where it writes, and how much may run at once. Raises
        BadRayFolder."""
        if address == LOCAL and (folder is None or len(str(folder.absolute())) > _LONGEST_FOLDER):
            raise BadRayFolder(
                f"a local Ray cluster needs a folder whose path has at most {_LONGEST_FOLDER} characters, "
                f"was {str(folder)!r}"
            )
        self.address, self._folder, self._cpus = address, folder, cpus
        self._is_joined = False

    async def join(self) -> None:
        """Returns connected. Raises RayUnavailable."""
        await asyncio.to_thread(self._join)

    async def leave(self) -> None:
        await asyncio.to_thread(self._leave)

    async def lost(self) -> None:
        """The connection does not work: the next ``join`` makes a new one, for all users."""
        await asyncio.to_thread(_shut)

    def _join(self) -> None:
        import ray

        with _turn:
            if not ray.is_initialized():
                try:
                    ray.init(**self._options())
                except Exception as error:  # Ray raises whatever its layers raise: gRPC's errors among others
                    _forget()
                    detail = str(error).partition("\n")[0] or type(error).__name__
                    raise RayUnavailable(f"Ray does not answer at {self.address}: {detail}") from error
            if not self._is_joined:
                self._is_joined = True
                _users[self.address] = _users.get(self.address, 0) + 1

    def _leave(self) -> None:
        with _turn:
            if self._is_joined:
                self._is_joined = False
                _users[self.address] -= 1
                if not sum(_users.values()):
                    _forget()

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "address": self.address,
            "namespace": NAMESPACE,
            "log_to_driver": False,
            "logging_level": "ERROR",
        }
        if self.address != LOCAL:
            return options
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        settle(self._folder, os.environ)
        return options | {
            "num_cpus": self._cpus,
            "object_store_memory": _OBJECT_BYTES,
            "include_dashboard": False,
            "_temp_dir": str(self._folder.absolute()),
            "_node_ip_address": _LOOPBACK,
        }


def settle(folder: Path, environment: Any) -> None:
    """The settings that Ray takes from its environment alone: no usage figures to anyone, and a token that other users
    of the machine do not have, kept in ``folder`` and not in the home folder. What is set already stays."""
    environment.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "RAY_AUTH_MODE" in environment or "RAY_AUTH_TOKEN" in environment:
        return
    token = folder.absolute() / "token"
    if not token.exists():
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
    environment["RAY_AUTH_MODE"] = "token"
    environment["RAY_AUTH_TOKEN_PATH"] = str(token)


def _shut() -> None:
    with _turn:
        _forget()


def _forget() -> None:
    import ray

    ray.shutdown()
