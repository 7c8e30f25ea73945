"""An S3 server that keeps objects as files: versitygw."""

from typing import ClassVar, Final

from tools.servers import fetch
from tools.servers.place import HOST
from tools.servers.server import Server, refuses
from tools.servers.supervise import Process

ACCESS, SECRET = "candlewick", "candlewick-secret"
BUCKET: Final = "candlewick-test"
PACKAGE: Final = "github.com/versity/versitygw/cmd/versitygw"


class S3(Server):
    name: ClassVar[str] = "s3"

    def fetch(self) -> None:
        fetch.go_command("versitygw", PACKAGE)

    def lay(self) -> None:
        # a folder of its data is a bucket
        for folder in (f"data/{BUCKET}", "versions"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)

    def processes(self) -> list[Process]:
        address = f"{HOST}:{self.ports['s3']}"
        command = [str(fetch.go_binary("versitygw")), "--port", address, "--access", ACCESS, "--secret", SECRET]
        command += ["--health", "/health", "--quiet"]
        command += ["posix", "--versioning-dir", str(self.folder / "versions"), str(self.folder / "data")]
        return [Process("s3", command, self.folder, ports=(self.ports["s3"],))]

    def why_not(self) -> str | None:
        return refuses(self.url("s3") + "/health")

    def addresses(self) -> dict[str, str]:
        return {"s3": f"http://{ACCESS}:{SECRET}@{HOST}:{self.ports['s3']}/{BUCKET}"}
