"""Show how the schemas of this version stand beside those in the registry, or register them.

check changes nothing and ends with 1 when a producer of this version would be refused. register makes what is new or
newer a version of its subject, each subject BACKWARD compatible; what does not fit is told with the field at fault.
Every producer registers its own topics when it starts; register is for a pipeline that wants to know before.
"""

import argparse
import asyncio

import msgspec

from candlewick.adapters.schemas.registry import SchemaRegistry
from candlewick.app.cli.options import add_common, configuration
from candlewick.contracts.topics import CATALOGUE
from candlewick.kernel.errors import Rejected
from candlewick.ports.schemas import SubjectState

EXAMPLES = """examples:
  candlewick schemas check --registry http://127.0.0.1:8081
  candlewick schemas register --set cluster.registry_url=http://127.0.0.1:8081
  candlewick schemas check --json
"""
_WORDS = {
    "same": "registered",
    "new": "not registered",
    "newer": "newer than what is registered, and follows it",
    "incompatible": "INCOMPATIBLE",
}


class RegistryNotNamed(Rejected):
    """A command that talks to the schema registry was not told where it is."""

    code = "REGISTRY_NOT_NAMED"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("register", "check"), help="register them, or show how they stand")
    parser.add_argument(
        "--registry", metavar="URL", help="root of the registry's Confluent API (default: cluster.registry_url)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_common(parser)


def run(parsed: argparse.Namespace) -> int:
    """Returns 1 when a schema of this version does not fit."""
    settings = configuration(parsed).cluster
    url = parsed.registry or settings.registry_url
    if not url:
        raise RegistryNotNamed("no schema registry is named", hint="Give --registry URL or set cluster.registry_url")
    states = asyncio.run(_states(SchemaRegistry(url, prefix=settings.prefix), parsed.what == "register"))
    if parsed.json:
        print(msgspec.json.encode({"subjects": states}).decode())
    else:
        for one in states:
            print("\n      ".join((f"{_WORDS[one.state]:46} {one.subject}", *one.faults)))
    return int(any(one.state == "incompatible" for one in states))


async def _states(registry: SchemaRegistry, register: bool) -> list[SubjectState]:
    try:
        if register:
            before = await registry.check(CATALOGUE)
            if any(one.state == "incompatible" for one in before):
                return before
            await registry.register(CATALOGUE)
        return await registry.check(CATALOGUE)
    finally:
        await registry.close()
