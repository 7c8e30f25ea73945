"""RabbitMQ, with an Erlang port mapper of its own that ends with it."""

import os
import socket
from typing import ClassVar

from tools.servers import fetch, supervise
from tools.servers.place import HOST
from tools.servers.server import Server
from tools.servers.supervise import Process

USER = PASSWORD = "candlewick"
FOLDERS = ("/usr/lib/rabbitmq/bin", "/usr/lib/rabbitmq/lib/*/sbin", "/opt/homebrew/opt/rabbitmq/sbin")
ERLANG = ("/usr/lib/erlang/erts-*/bin", "/usr/lib/erlang/bin", "/opt/homebrew/opt/erlang/lib/erlang/erts-*/bin")
HEADER = b"AMQP\x00\x00\x09\x01"


class RabbitMQ(Server):
    name: ClassVar[str] = "rabbitmq"

    @property
    def user(self) -> str:
        """Its scripts refuse root."""
        return "rabbitmq"

    def fetch(self) -> None:
        fetch.program("rabbitmq-server", "rabbitmq-server", FOLDERS)
        fetch.program("epmd", "erlang-base", ERLANG)

    def config(self) -> str:
        """Its rabbitmq.conf."""
        return "\n".join((
            "listeners.tcp.1 = {}:{}".format(HOST, self.ports["rabbitmq"]),
            f"default_user = {USER}",
            f"default_pass = {PASSWORD}",
            "loopback_users = none",
            "vm_memory_high_watermark.absolute = 1GB",
            "disk_free_limit.absolute = 200MB",
            "queue_master_locator = min-masters",
            "log.console = true",
            "log.console.level = info",
            "log.file = false",
        )) + "\n"  # fmt: skip

    def lay(self) -> None:
        home = self.folder / "home"
        for folder in (self.folder, home, self.folder / "data"):
            folder.mkdir(parents=True, exist_ok=True)
            fetch.own(self.user, folder)
        (self.folder / "rabbitmq.conf").write_text(self.config())
        (self.folder / "plugins").write_text("[].\n")

    def _env(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder / "home"),
            "RABBITMQ_NODENAME": "candlewick@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_PID_FILE": str(self.folder / "data/pid"),
            "RABBITMQ_DIST_PORT": str(self.ports["rabbitmq-distribution"]),
            "RUNNING_UNDER_SYSTEMD": "true",  # its script becomes the server then, rather than staying as its parent
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def processes(self) -> list[Process]:
        epmd = str(fetch.find("epmd", ERLANG) or "epmd")
        server = str(fetch.find("rabbitmq-server", FOLDERS) or "rabbitmq-server")
        return [
            # by hand: the one that Erlang would start as a daemon outlives it
            self._process("epmd", [epmd, "-address", HOST, "-port", str(self.ports["epmd"])], "epmd"),
            self._process("rabbitmq", [server], "rabbitmq", "rabbitmq-distribution"),
        ]

    def _process(self, name: str, command: list[str], *ports: str) -> Process:
        if self.folder.exists():
            command = fetch.as_user(self.user, command, home=self.folder)
        return Process(
            name, command, self.folder, ports=[self.ports[p] for p in ports], env=self._env(), stop_seconds=30.0
        )

    def stop(self) -> list[str]:
        mapper, server = self.processes()
        return [*supervise.stop([server]), *supervise.stop([mapper])]

    def why_not(self) -> str | None:
        try:
            with socket.create_connection((HOST, self.ports["rabbitmq"]), timeout=2) as connection:
                connection.sendall(HEADER)
                answer = connection.recv(16)
        except OSError as error:
            return f"no answer on port {self.ports['rabbitmq']} ({error})"
        # a method frame on channel 0 whose method is Connection.Start
        return (
            None if answer[:3] == b"\x01\x00\x00" and answer[7:11] == b"\x00\x0a\x00\x0a" else "it does not speak AMQP"
        )

    def addresses(self) -> dict[str, str]:
        return {"rabbitmq": f"amqp://{USER}:{PASSWORD}@{HOST}:{self.ports['rabbitmq']}/"}
