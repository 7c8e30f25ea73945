"""``./dev servers start|stop|status``: the real servers that integration tests talk to.

There are none yet: everything that exists runs on embedded adapters, so nothing needs starting.
"""

import argparse
import sys

SERVERS: tuple[str, ...] = ()


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev servers", description=__doc__)
    parser.add_argument("verb", choices=("start", "stop", "status"))
    parser.parse_args()
    print("No test of this version needs a server: all adapters that exist are embedded ones.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
