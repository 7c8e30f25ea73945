"""Show every setting, its value and where the value comes from."""

import argparse
import json
from typing import Any, get_type_hints

import msgspec

from candlewick.app.cli.options import add_common, configuration
from candlewick.app.configuration import OWN_SECTIONS, check_sections
from candlewick.app.registry import SERVICES, load

EXAMPLES = """examples:
  candlewick config show
  candlewick config show --json
  CANDLEWICK_MARKET__RING_SIZE=3000 candlewick config show
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("show",), help="show all settings")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_common(parser)


def run(parsed: argparse.Namespace) -> int:
    config = configuration(parsed)
    kinds: dict[str, type[msgspec.Struct]] = {**OWN_SECTIONS, **{n: load(n).settings for n in SERVICES}}
    check_sections(config, tuple(kinds))
    rows: list[dict[str, Any]] = []
    for section, kind in kinds.items():
        settings, loaded = config.section(kind, section)
        for name, hint in get_type_hints(kind, include_extras=True).items():
            meaning = next(
                (m.description for m in getattr(hint, "__metadata__", ()) if isinstance(m, msgspec.Meta)), ""
            )
            rows.append({"setting": f"{section}.{name}", "value": getattr(settings, name),
                         "source": loaded.sources[name], "meaning": meaning})  # fmt: skip
    if parsed.json:
        print(
            json.dumps(
                {"data_dir": str(config.data_dir), "file": config.file and str(config.file), "settings": rows}, indent=1
            )
        )
        return 0
    print(f"data dir  {config.data_dir}\nfile      {config.file or 'none'}\n")
    for row in rows:
        value = ",".join(row["value"]) if isinstance(row["value"], tuple) else row["value"]
        print(f"{row['setting']:28} {value!s:24} {row['source']:12} {row['meaning']}")
    return 0
