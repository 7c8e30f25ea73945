"""Toxiproxy: links that a test can slow down and cut. Tests lay their own on ports of ``place.LINKS``."""

from typing import ClassVar, Final

from tools.servers import fetch
from tools.servers.place import HOST
from tools.servers.server import Server, refuses
from tools.servers.supervise import Process

PACKAGE: Final = "github.com/Shopify/toxiproxy/v2/cmd/server"


class Toxiproxy(Server):
    name: ClassVar[str] = "toxiproxy"

    def fetch(self) -> None:
        fetch.go_command("toxiproxy", PACKAGE)

    def lay(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def processes(self) -> list[Process]:
        port = self.ports["toxiproxy"]
        command = [str(fetch.go_binary("toxiproxy")), "-host", HOST, "-port", str(port)]
        return [Process("toxiproxy", command, self.folder, ports=(port,))]

    def why_not(self) -> str | None:
        return refuses(self.url("toxiproxy") + "/version")

    def addresses(self) -> dict[str, str]:
        return {"toxiproxy": self.url("toxiproxy")}
