"""``health.py [PORT]``: ends with 0 when the service on this machine serves, with 1 and one line when it does not.

For HEALTHCHECK and exec probes: it runs in some 30 ms because it loads nothing but the socket module and needs neither
curl nor a shell. PORT is the gateway's when it is not given.
"""

import socket
import sys

_TIMEOUT_S = 3.0


def ask(port: int, timeout_s: float = _TIMEOUT_S) -> str:
    """The status line of ``GET /health``; OSError when nobody answers in time."""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b""
        while b"\r\n" not in received:
            more = connection.recv(4096)
            if not more:
                break
            received += more
    return received.split(b"\r\n", 1)[0].decode("latin-1")


def main(arguments: list[str]) -> int:
    port = int(arguments[0]) if arguments else 8000
    try:
        line = ask(port)
    except OSError as error:
        sys.stderr.write(f"nothing answers on port {port}: {error}\n")
        return 1
    if line.split(" ")[1:2] == ["200"]:
        return 0
    sys.stderr.write(f"port {port} answered {line!r}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
