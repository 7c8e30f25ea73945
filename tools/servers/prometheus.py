"""Prometheus. It reads its targets from files, so that a test adds some without a restart."""

import json
from typing import ClassVar

from tools.servers import fetch
from tools.servers.place import HOST
from tools.servers.server import Server, refuses
from tools.servers.supervise import Process


class Prometheus(Server):
    name: ClassVar[str] = "prometheus"

    def fetch(self) -> None:
        fetch.program("prometheus", "prometheus")

    def config(self) -> str:
        """Its configuration; JSON is YAML."""
        own = {"job_name": "prometheus", "static_configs": [{"targets": [f"{HOST}:{self.ports['prometheus']}"]}]}
        files = [{"files": [str(self.folder / "targets/*.json")], "refresh_interval": "1s"}]
        return json.dumps(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(self.folder / "rules/*.yaml")],
                "scrape_configs": [own, {"job_name": "candlewick", "file_sd_configs": files}],
            },
            indent=2,
        )

    def lay(self) -> None:
        for folder in ("data", "targets", "rules"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        (self.folder / "prometheus.yaml").write_text(self.config() + "\n")

    def processes(self) -> list[Process]:
        options = {
            "config.file": str(self.folder / "prometheus.yaml"),
            "storage.tsdb.path": str(self.folder / "data"),
            "storage.tsdb.retention.time": "2d",
            "web.listen-address": f"{HOST}:{self.ports['prometheus']}",
        }
        program = str(fetch.find("prometheus") or "prometheus")
        command = [program, "--web.enable-lifecycle", *(f"--{key}={value}" for key, value in options.items())]
        return [Process("prometheus", command, self.folder, ports=(self.ports["prometheus"],))]

    def why_not(self) -> str | None:
        return refuses(self.url("prometheus") + "/-/ready")

    def addresses(self) -> dict[str, str]:
        return {"prometheus": self.url("prometheus")}
