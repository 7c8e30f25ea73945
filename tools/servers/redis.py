"""Redis, its writes appended to a file so that it keeps them over a kill."""

import socket
from typing import ClassVar

from tools.servers import fetch
from tools.servers.place import HOST
from tools.servers.server import Server
from tools.servers.supervise import Process


class Redis(Server):
    name: ClassVar[str] = "redis"

    def fetch(self) -> None:
        fetch.program("redis-server", "redis-server")

    def lay(self) -> None:
        (self.folder / "data").mkdir(parents=True, exist_ok=True)

    def processes(self) -> list[Process]:
        program = str(fetch.find("redis-server") or "redis-server")
        options = {
            "--bind": HOST,
            "--port": str(self.ports["redis"]),
            "--dir": str(self.folder / "data"),
            "--appendonly": "yes",
            "--appendfsync": "everysec",
            "--save": "",
            "--maxmemory": "1gb",
            "--maxmemory-policy": "noeviction",  # windows and budgets are state: refuse, never forget
            "--daemonize": "no",
        }
        command = [program, *(word for option in options.items() for word in option)]
        return [Process("redis", command, self.folder, ports=(self.ports["redis"],))]

    def why_not(self) -> str | None:
        try:
            with socket.create_connection((HOST, self.ports["redis"]), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                answer = connection.recv(64)
        except OSError as error:
            return f"no answer on port {self.ports['redis']} ({error})"
        return None if answer.startswith(b"+PONG") else f"it answered {answer!r} to PING"

    def addresses(self) -> dict[str, str]:
        return {"redis": self.url("redis", "redis") + "/0"}
