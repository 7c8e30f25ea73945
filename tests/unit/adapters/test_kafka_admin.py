"""What the brokers are asked again when they do not say it at once."""

from concurrent.futures import Future

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException

from candlewick.adapters._kafka import admin as module
from candlewick.adapters._kafka.admin import LATEST, Admin
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.ports.log import LogUnavailable


class Offset:
    def __init__(self, offset):
        self.offset = offset


class Client:
    """Gives each partition its answers in turn, the last one again and again."""

    def __init__(self, answers):
        self.answers, self.looks = answers, 0

    def list_offsets(self, wanted, **_):
        found = {}
        for place in wanted:
            queue = self.answers[place.topic, place.partition]
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            found[place] = future = Future()
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(Offset(answer))
        return found

    def list_topics(self, topic, **_):
        self.looks += 1


@pytest.fixture
def asked(monkeypatch):
    def ask(answers, *, within_s=5.0):
        client = Client(answers)
        monkeypatch.setattr(module, "AdminClient", lambda settings: client)
        admin = Admin("127.0.0.1:1", KafkaOptions(answer_within_s=within_s))
        return client, admin.offsets(answers, LATEST)

    return ask


def test_a_partition_whose_leader_is_dead_is_asked_again_and_the_leader_looked_for(asked):
    late = KafkaException(KafkaError(KafkaError._TIMED_OUT))
    moved = KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))
    client, found = asked({("t", 0): [7], ("t", 1): [late, TimeoutError(), moved, 9], ("t", 2): [OFFSET_INVALID, 11]})
    assert found == {("t", 0): 7, ("t", 1): 9, ("t", 2): 11}
    assert client.looks == 3


def test_no_offset_is_no_offset(asked):
    with pytest.raises(LogUnavailable, match="no broker says an offset of a partition, was 't' 3"):
        asked({("t", 3): [OFFSET_INVALID]}, within_s=0.1)


def test_a_question_that_a_dead_broker_was_asked_is_put_to_another(monkeypatch):
    answers = [KafkaException(KafkaError(KafkaError._TIMED_OUT)), "what it says"]

    class Once:
        def __init__(self, _):
            made.append(self)

        def describe_topics(self, names, *, request_timeout):
            future = Future()
            answer = answers.pop(0)
            (future.set_exception if isinstance(answer, BaseException) else future.set_result)(answer)
            return {"t": future}

    made = []
    monkeypatch.setattr(module, "AdminClient", Once)
    assert Admin("127.0.0.1:1", KafkaOptions()).topics(["t"]) == {"t": "what it says"}
    assert len(made) == 2, "the client that asked the dead one would ask it again"


def test_what_does_not_pass_is_told_at_once(asked):
    refused = KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    with pytest.raises(Exception, match="asking for offsets"):
        asked({("t", 0): [refused]})
