"""The schema registry: Apicurio, by the Confluent API, its schemas kept in PostgreSQL over a restart."""

import json
import urllib.request
from pathlib import Path
from typing import ClassVar, Final

from tools.servers import fetch
from tools.servers.place import HOST, Trouble
from tools.servers.postgres import PASSWORD, USER, Postgres
from tools.servers.server import Server, refuses
from tools.servers.supervise import Process

DATABASE: Final = "schema_registry"
API: Final = "/apis/ccompat/v7"
JVM: Final = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "--enable-native-access=ALL-UNNAMED")


class Registry(Server):
    name: ClassVar[str] = "registry"
    needs: ClassVar[tuple[str, ...]] = ("postgres",)
    ready_seconds: ClassVar[float] = 90.0

    def fetch(self) -> None:
        fetch.fetch_java()
        unpacked = self._program()
        if (unpacked / "quarkus-run.jar").exists() and fetch.is_made(unpacked, fetch.pinned("registry")):
            return
        packed = fetch.maven("registry")
        with fetch.made(unpacked, fetch.pinned("registry")) as new:
            for archive in packed.glob("*.tar.gz"):
                # not tarfile: its safe filter came with Python 3.11.4, and Debian 12 has 3.11.2
                fetch.run("the registry unpacked", ["tar", "-xzf", str(archive), "-C", str(new)])
        for archive in packed.glob("*.tar.gz"):
            archive.unlink()  # 150 MiB that are there unpacked now

    def _program(self) -> Path:
        return self.home / "artefacts/registry-unpacked"

    def _database(self) -> Postgres:
        return Postgres(self.ports, self.home)

    def lay(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        postgres = self._database()
        if not postgres.ask("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):
            postgres.ask("postgres", f"CREATE DATABASE {DATABASE}")

    def bring_up(self) -> None:
        super().bring_up()
        # it begins with NONE, under which an incompatible producer is never refused
        request = urllib.request.Request(
            self.url("registry") + API + "/config",
            data=json.dumps({"compatibility": "BACKWARD"}).encode(),
            headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
            method="PUT",
        )
        try:
            with urllib.request.urlopen(request, timeout=20):
                pass
        except OSError as error:
            raise Trouble(f"it would not be told to keep schemas compatible: {error}") from error

    def processes(self) -> list[Process]:
        own = {
            "quarkus.http.host": HOST,
            "quarkus.http.port": str(self.ports["registry"]),
            # its own page of health and metrics would listen on all addresses
            "quarkus.management.host": HOST,
            "quarkus.management.port": str(self.ports["registry-management"]),
        }
        program = str(self._program() / "quarkus-run.jar")
        command = [str(fetch.java()), *JVM, *(f"-D{key}={value}" for key, value in own.items()), "-jar", program]
        storage = {
            "APICURIO_STORAGE_KIND": "sql",
            "APICURIO_STORAGE_SQL_KIND": "postgresql",
            "APICURIO_DATASOURCE_URL": f"jdbc:postgresql://{HOST}:{self.ports['postgres']}/{DATABASE}",
            "APICURIO_DATASOURCE_USERNAME": USER,
            "APICURIO_DATASOURCE_PASSWORD": PASSWORD,
            "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "2",
            "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "2",
            "APICURIO_DATASOURCE_JDBC_MAX_SIZE": "10",  # by default 100 of the database's 200
        }
        ports = (self.ports["registry"], self.ports["registry-management"])
        return [Process("registry", command, self.folder, ports=ports, env=storage)]

    def why_not(self) -> str | None:
        return refuses(self.url("registry") + API + "/subjects")

    def addresses(self) -> dict[str, str]:
        return {"registry": self.url("registry") + API}
