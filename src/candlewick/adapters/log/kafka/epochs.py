"""Which life of a topic an offset belongs to.

Kafka counts from 0 again when a topic is made anew. So whoever makes one writes its id and the second it was made in
into a topic of its own, which is never cleaned; that second is the epoch of the topic's positions. It lies beyond
every epoch anybody can know even after the whole cluster was lost, as a count kept on the cluster would not.
"""

import json
from collections.abc import Iterable, Mapping

from candlewick.kernel.errors import Conflict
from candlewick.ports.log import Record

LEDGER = "candlewick.epochs"
LEDGER_SETTINGS: dict[str, str] = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}


def entry(topic_id: str, epoch: int) -> bytes:
    """A record's value; its key is the topic's name on the brokers."""
    return json.dumps({"topic_id": topic_id, "epoch": epoch}).encode()


def epochs(records: Iterable[Record], topic_ids: Mapping[str, str]) -> dict[str, int]:
    """Topic -> epoch, of those that the ledger knows. Of two writers the first is believed."""
    known: dict[tuple[str, str], int] = {}
    for record in records:
        if record.value is None:
            continue
        try:
            found = json.loads(record.value)
            known.setdefault((record.key, str(found["topic_id"])), int(found["epoch"]))
        except (ValueError, KeyError, TypeError):
            raise Conflict(
                f"the ledger of epochs holds a record that is none, at {record.position.offset}",
                hint="Another program writes to its topic; give this installation a prefix of its own",
            ) from None
    return {name: known[name, topic_id] for name, topic_id in topic_ids.items() if (name, topic_id) in known}
