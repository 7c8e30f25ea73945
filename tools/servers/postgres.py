"""PostgreSQL: a primary with logical decoding on, and a read replica that streams from it."""

import os
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

from tools.servers import fetch, supervise
from tools.servers.place import HOST, Trouble
from tools.servers.server import Server
from tools.servers.supervise import Process

USER = PASSWORD = "candlewick"
DATABASE = "postgres"
SLOT = "replica"
FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # loopback only; a socket's path may not be longer than 107 bytes
    "wal_level": "logical",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_senders": "10",
    "max_replication_slots": "20",
    "max_wal_size": "1GB",
    "max_slot_wal_keep_size": "2GB",  # a replica that is gone for good must not fill the disk
    "wal_retrieve_retry_interval": "200ms",  # the replica is back as soon as the primary is
    "wal_receiver_status_interval": "1s",
    "hot_standby_feedback": "on",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
STREAMING = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"


class Postgres(Server):
    name: ClassVar[str] = "postgres"

    @property
    def user(self) -> str:
        """PostgreSQL refuses to run as root."""
        return "postgres"

    def fetch(self) -> None:
        # the package brings initdb, postgres, pg_basebackup and psql, and a cluster of its own that is never started
        for name in ("initdb", "postgres", "pg_basebackup", "psql"):
            fetch.program(name, "postgresql", FOLDERS)

    def _tool(self, name: str) -> str:
        found = fetch.find(name, FOLDERS)
        if found is None:
            raise Trouble(f"{name} is not on this machine. On Debian, as root: apt-get install postgresql")
        return str(found)

    def _data(self, name: str) -> Path:
        return self.folder / f"{name}-data"

    def _process(self, name: str, *settings: str) -> Process:
        program = str(fetch.find("postgres", FOLDERS) or "postgres")
        chosen = [f"-c{key}={value}" for key, value in SETTINGS.items()]
        command = [program, "-D", str(self._data(name)), f"-p{self.ports[name]}", *chosen, *settings]
        return Process(
            name,
            fetch.as_user(self.user, command, home=self.folder) if self.folder.exists() else command,
            self.folder,
            ports=(self.ports[name],),
            stop_with=signal.SIGINT,  # "fast": open sessions are ended, nothing is lost
        )

    def processes(self) -> list[Process]:
        source = f"host={HOST} port={self.ports['postgres']} user={USER} password={PASSWORD}"
        return [
            self._process("postgres"),
            self._process(
                "postgres-replica",
                f"-cprimary_conninfo={source} application_name=replica",
                f"-cprimary_slot_name={SLOT}",
            ),
        ]

    def lay(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        fetch.own(self.user, self.folder)
        data = self._data("postgres")
        if (data / "global/pg_control").exists():
            return
        self._remove(data)
        self._remove(self._data("postgres-replica"))  # a copy of another cluster
        password = self.folder / "password"
        password.write_text(PASSWORD + "\n")
        fetch.own(self.user, password)
        self._as_server(
            "initdb", "-D", str(data), f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={password}",
            "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions",
        )  # fmt: skip

    def bring_up(self) -> None:
        self.lay()
        primary, replica = self.processes()
        supervise.spawn(primary)
        supervise.wait_ready(self._primary_why_not, [primary], self.ready_seconds)
        copy = self._data("postgres-replica")
        if not (copy / "standby.signal").exists():
            self._remove(copy)
            self._copy(copy)
        supervise.spawn(replica)
        supervise.wait_ready(self.why_not, [primary, replica], self.ready_seconds)

    def _copy(self, to: Path) -> None:
        self.ask(
            "postgres",
            f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{SLOT}'",
        )
        self._as_server(
            "pg_basebackup", f"--pgdata={to}", f"--host={HOST}", f"--port={self.ports['postgres']}",
            f"--username={USER}", "--no-password", "--write-recovery-conf", "--create-slot", f"--slot={SLOT}",
            "--wal-method=stream", "--checkpoint=fast", "--no-sync",
        )  # fmt: skip

    def _remove(self, data: Path) -> None:
        if data.exists():
            fetch.run("an unfinished copy", ["rm", "-rf", str(data)])

    def _as_server(self, tool: str, *arguments: str) -> None:
        command = fetch.as_user(self.user, [self._tool(tool), *arguments], home=self.folder)
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Trouble(f"{tool} failed: {done.stderr.strip()}")

    def ask(self, process: str, statement: str) -> str:
        """One statement as the superuser; its answer as text.

        Raises:
            Trouble: it did not answer, or refused.
        """
        done = subprocess.run(
            [self._tool("psql"), "-XAtq", "-h", HOST, "-p", str(self.ports[process]), "-c", statement, DATABASE, USER],
            env={**os.environ, "PGPASSWORD": PASSWORD, "PGCONNECT_TIMEOUT": "3"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Trouble((done.stderr.strip() or f"{process} does not answer").splitlines()[-1])
        return done.stdout.strip()

    def _primary_why_not(self) -> str | None:
        try:
            return None if self.ask("postgres", "SELECT pg_is_in_recovery()") == "f" else "the primary is a replica"
        except Trouble as trouble:
            return str(trouble)

    def why_not(self) -> str | None:
        try:
            if self.ask("postgres", STREAMING) == "0":
                return "the replica does not stream from the primary"
            return (
                None
                if self.ask("postgres-replica", "SELECT pg_is_in_recovery()") == "t"
                else "the replica is a primary"
            )
        except Trouble as trouble:
            return str(trouble)

    def addresses(self) -> dict[str, str]:
        return {
            name.replace("-", "_"): f"postgresql://{USER}:{PASSWORD}@{HOST}:{self.ports[name]}/{DATABASE}"
            for name in ("postgres", "postgres-replica")
        }
