"""The command line as a page: what every command says of itself."""

import contextlib
import io
import os
from importlib.util import find_spec

from candlewick.app.cli import main as cli

HEAD = """# Command line

Every command takes `--data-dir`, `--config` and `--set`. Exit codes: 0 done, 1 it failed for the reason printed, 2
wrong usage.
"""


def names() -> list[str]:
    """Commands that can be called; the gate refuses one that is listed and has no module."""
    return [name for name, (module, _) in cli.COMMANDS.items() if find_spec(module) is not None]


def help_of(*arguments: str) -> str:
    """What ``candlewick <arguments> --help`` prints on a terminal of 100 columns."""
    out = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            cli.main([*arguments, "--help"])
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def page() -> str:
    """All commands, in the order of ``candlewick --help``."""
    parts = [HEAD, f"\n```text\n{help_of()}\n```\n"]
    parts += [f"\n## candlewick {name}\n\n```text\n{help_of(name)}\n```\n" for name in names()]
    return "".join(parts)
