"""One process for each service on one data dir."""

import signal

from tests.e2e.server import Product, free_port

PLACES = {"stream": 18, "history": 16, "market": 1, "realtime": 15, "collector": 17, "gateway": 0}


class House:
    """The processes of one data dir, started at once; none is left behind at the end of its ``with``."""

    def __init__(self, folder, names, *arguments):
        self.folder, self.arguments, self.port = folder, arguments, free_port()
        self.processes = {name: self.start(name) for name in names}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.process.kill()
            process.process.wait()

    def wait_ready(self):
        for process in self.processes.values():
            process.wait_ready()
        return self

    def begin(self, name):
        return self.start(name).wait_ready()

    def start(self, name):
        arguments = ["run", name, "--port", str(self.port), "--data-dir", str(self.folder / "data"), *self.arguments]
        return Product(arguments, self.folder, port=self.port + PLACES[name])

    def stop(self):
        """Exit codes on SIGTERM by service, the gateway first."""
        return {name: self.processes[name].stop(signal.SIGTERM) for name in reversed(self.processes)}

    def text(self):
        return "".join(process.text() for process in self.processes.values())
