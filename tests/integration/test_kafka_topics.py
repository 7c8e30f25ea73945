"""``candlewick topics`` on real brokers, and what the log says of topics that are not as they should be."""

import asyncio
import json
import time
from dataclasses import replace

import pytest

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters._kafka.errors import TopicsMissing
from candlewick.adapters.log.kafka import KafkaEventLog
from candlewick.app.cli import main as cli
from candlewick.contracts.topics import Topic
from candlewick.kernel.errors import Conflict
from candlewick.kernel.hashing import partition_of
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.log import NewRecord, Position
from tests.kafka import BROKERS, needs_kafka, own_topics

pytestmark = [needs_kafka, pytest.mark.slow]
ONE = Topic("suite.one", "suite", (), 3, 3_600, "Kept an hour.")
KEPT = Topic("suite.kept", "suite", (), 1, 0, "The newest of each key.", cleanup="compact")
TOPICS = (ONE, KEPT)


def _call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = cli.main(["topics", *arguments])
    return code, capsys.readouterr().out


def _until(condition, what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.1)


def test_apply_makes_what_the_catalogue_says_and_diff_shows_the_rest(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("candlewick.app.cli.topics.CATALOGUE", TOPICS)
    with own_topics(TOPICS) as (topics, options):
        rest = ["--brokers", str(BROKERS), "--data-dir", str(tmp_path), "--set", f"cluster.prefix={options.prefix}"]
        code, out = _call(capsys, "diff", *rest)
        assert code == 1
        assert f"{options.prefix}suite.one" in out
        assert "new: 3 partitions" in out
        assert _call(capsys, "apply", *rest)[0] == 0
        assert _call(capsys, "diff", *rest) == (0, "all topics are as the catalogue says\n")

        admin = Admin(str(BROKERS), options)
        name = options.prefix + ONE.name
        replicas = min(3, admin.brokers())
        found = admin.settings([name, options.prefix + KEPT.name])
        assert found[name]["retention.ms"] == "3600000"
        assert found[name]["min.insync.replicas"] == ("2" if replicas == 3 else "1")
        assert found[options.prefix + KEPT.name]["cleanup.policy"] == "compact"
        assert {len(p.replicas) for p in admin.topics([name])[name].partitions} == {replicas}

        admin.alter({name: {"retention.ms": "5", "unclean.leader.election.enable": "true"}})
        _until(lambda: len(topics.differences()) == 2, "the brokers know of the change")
        code, out = _call(capsys, "diff", "--json", *rest)
        assert code == 1
        told = {(one["what"], one["found"], one["wanted"]) for one in json.loads(out)["differences"]}
        assert told == {("retention.ms", "5", "3600000"), ("unclean.leader.election.enable", "true", "false")}
        assert _call(capsys, "apply", *rest)[0] == 0
        assert topics.differences() == []


async def test_another_partition_count_is_told_and_never_changed():
    with own_topics((ONE,)) as (topics, options):
        assert topics.apply() == []
        more = (replace(ONE, partitions=4),)
        log = KafkaEventLog(str(BROKERS), SystemClock(), SystemIds(), topics=more, options=options)
        with pytest.raises(Conflict, match=r"partitions .* must be 4, was '3'"):
            await log.apply()
        with pytest.raises(Conflict, match="must have 4 partitions, was 3"):
            await log.open()
        assert len(Admin(str(BROKERS), options).topics([options.prefix + ONE.name])) == 1


async def test_missing_topics_name_the_command_that_makes_them():
    with own_topics((ONE,)) as (_, options):
        log = KafkaEventLog(str(BROKERS), SystemClock(), SystemIds(), topics=(ONE,), options=options)
        with pytest.raises(TopicsMissing, match="candlewick topics apply"):
            await log.open()


async def test_a_topic_made_anew_begins_a_new_epoch_and_old_positions_read_all_of_it():
    """Kafka counts from 0 again; who knew a later offset of the old life must not miss the new one [12]."""
    with own_topics((ONE,)) as (topics, options):
        topics.apply()

        async def opened() -> KafkaEventLog:
            log = KafkaEventLog(str(BROKERS), SystemClock(), SystemIds(), topics=(ONE,), options=options)
            await log.open()
            return log

        log = await opened()
        record = NewRecord(ONE.name, "a:b", b"1", b"", 0)
        old = await (await log.producer("p")).send([record] * 20)
        await log.close()
        Admin(str(BROKERS), options).delete([options.prefix + ONE.name])
        # An epoch is a second.
        await asyncio.sleep(1.1)
        topics.apply()
        log = await opened()
        young = await (await log.producer("p")).send([record])
        assert young[0].offset < old[-1].offset
        assert young[0] > old[-1]
        reader = await log.consumer([ONE.name], group=None, member="r", start="newest")
        place = partition_of("a:b", ONE.partitions)
        assert await reader.seek(ONE.name, place, old[-1]) is None
        assert [r.position for r in await reader.poll(timeout_s=5.0)] == young
        assert (await log.read_at(ONE.name, place, Position(old[0].epoch, 3), 5))[0].position == young[0]
        await log.close()
        again = await opened()
        assert (await again.read_at(ONE.name, place, None, 1))[0].position == young[0]
        await again.close()
