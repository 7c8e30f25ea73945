"""Three Apache Kafka brokers in KRaft combined mode: each is broker and controller, every topic is kept three times.

A broker that is killed is noticed in seconds, not in the ten that the defaults take: then all partitions stall, also
those it did not lead.
"""

import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Final

from tools.servers import fetch
from tools.servers.place import HOST
from tools.servers.server import Server
from tools.servers.supervise import Process

NODES: Final = (1, 2, 3)
CLUSTER_ID: Final = "Q2FuZGxld2ljay1zZXJ2ZQ"  # 16 bytes in base64, as Kafka wants it
# C1 alone: three brokers that start side by side on two cores spend their time compiling otherwise
JVM: Final = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "--enable-native-access=ALL-UNNAMED",
)
SETTINGS: Final[dict[str, str]] = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
    "offsets.topic.replication.factor": "3",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "transaction.state.log.num.partitions": "8",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    "share.coordinator.state.topic.num.partitions": "8",
    # fail-over in 3 to 5 seconds instead of 10
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "3000",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.election.backoff.max.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    # groups: a worker's partitions move on at once; both protocols
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.session.timeout.ms": "1000",
    # sized for a heap of 256 MiB: the cleaner's default buffer alone is half of it
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "log.index.size.max.bytes": "1048576",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}
#: What a broker keeps by itself there is only once.
ALONE: Final[dict[str, str]] = {
    name: "1" for name in SETTINGS if name.endswith((".min.isr", "min.insync.replicas", "replication.factor"))
}
LOGGING: Final = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %m (%c{1})%n%xEx"/></Console></Appenders>
  <Loggers>
    <Logger name="kafka.server" level="INFO"/>
    <Root level="WARN"><AppenderRef ref="out"/></Root>
  </Loggers>
</Configuration>
"""


class Kafka(Server):
    name: ClassVar[str] = "kafka"
    nodes: ClassVar[tuple[int, ...]] = NODES
    ready_seconds: ClassVar[float] = 90.0

    def fetch(self) -> None:
        fetch.fetch_java()
        fetch.maven("kafka")

    def _java(self, *arguments: str) -> list[str]:
        classes = f"{self.home / 'artefacts/kafka'}/*"
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.xml'}"
        return [str(fetch.java()), *JVM, logging, "-cp", classes, *arguments]

    def _settings_file(self, node: int) -> Path:
        return self.folder / f"kafka-{node}.properties"

    def settings(self, node: int) -> dict[str, str]:
        """The properties of one node."""
        client, control = self.ports[f"kafka-{node}"], self.ports[f"kafka-{node}-controller"]
        voters = ",".join(f"{n}@{HOST}:{self.ports[f'kafka-{n}-controller']}" for n in self.nodes)
        return {
            **SETTINGS,
            **(ALONE if len(self.nodes) == 1 else {}),
            "node.id": str(node),
            "log.dirs": str(self.folder / f"kafka-{node}-data"),
            "listeners": f"PLAINTEXT://{HOST}:{client},CONTROLLER://{HOST}:{control}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{client}",
            "controller.quorum.voters": voters,
        }

    def lay(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.xml").write_text(LOGGING)
        unformatted = []
        for node in self.nodes:
            lines = [f"{key}={value}" for key, value in self.settings(node).items()]
            self._settings_file(node).write_text("\n".join(lines) + "\n")
            if not (self.folder / f"kafka-{node}-data/meta.properties").exists():
                unformatted.append(node)
        with ThreadPoolExecutor(len(self.nodes)) as threads:
            list(threads.map(self._format, unformatted))

    def _format(self, node: int) -> None:
        settings = str(self._settings_file(node))
        command = self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", settings)
        fetch.run(f"storage of kafka-{node}", command, quiet=True)

    def processes(self) -> list[Process]:
        return [
            Process(
                f"kafka-{node}",
                self._java("kafka.Kafka", str(self._settings_file(node))),
                self.folder,
                ports=(self.ports[f"kafka-{node}"], self.ports[f"kafka-{node}-controller"]),
                stop_seconds=30.0,
            )
            for node in self.nodes
        ]

    def why_not(self) -> str | None:
        for node in self.nodes:
            port = self.ports[f"kafka-{node}"]
            try:
                seen = brokers(port)
            except (OSError, struct.error, IndexError) as error:
                return f"kafka-{node} does not answer on port {port} ({error})"
            if seen != set(self.nodes):
                return f"kafka-{node} sees only brokers {sorted(seen)}"
        return None

    def addresses(self) -> dict[str, str]:
        return {"kafka": ",".join(f"{HOST}:{self.ports[f'kafka-{node}']}" for node in self.nodes)}


def brokers(port: int) -> set[int]:
    """The node ids that a broker lists as alive: a Metadata request, version 1, for no topic.

    Raises:
        OSError: nothing answers in a second.
    """
    client = b"candlewick-servers"
    request = struct.pack(f">hhih{len(client)}si", 3, 1, 1, len(client), client, 0)
    with socket.create_connection((HOST, port), timeout=1) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", _exactly(connection, 4))
        answer = _exactly(connection, size)
    (count,) = struct.unpack_from(">i", answer, 4)
    at, found = 8, set()
    for _ in range(count):
        node, host = struct.unpack_from(">ih", answer, at)
        at += 6 + host + 4
        (rack,) = struct.unpack_from(">h", answer, at)
        at += 2 + max(rack, 0)
        found.add(node)
    return found


def _exactly(connection: socket.socket, size: int) -> bytes:
    taken = b""
    while len(taken) < size:
        part = connection.recv(size - len(taken))
        if not part:
            raise ConnectionError("it closed the connection")
        taken += part
    return taken
