"""The client's errors in the kernel's kinds (codes: https://kafka.apache.org/protocol#protocol_error_codes)."""

from confluent_kafka import KafkaError, KafkaException

from candlewick.kernel.errors import CandlewickError, Fatal, Fenced, Rejected, StorageFull
from candlewick.ports.log import LogCorrupt, LogUnavailable, RecordTooLarge

_FENCED = frozenset({
    KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.FENCED_INSTANCE_ID, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.FENCED_MEMBER_EPOCH,
})  # fmt: skip
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_CORRUPT = frozenset({KafkaError._BAD_MSG, KafkaError.INVALID_MSG, KafkaError._BAD_COMPRESSION})
_REFUSED = frozenset({
    KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KafkaError.INVALID_TRANSACTION_TIMEOUT,
    KafkaError._INVALID_ARG, KafkaError.INVALID_CONFIG, KafkaError.POLICY_VIOLATION,
    KafkaError.UNSUPPORTED_VERSION,
})  # fmt: skip
# A rebalance is under way: the same call works once the member has polled.
UNSETTLED = frozenset({KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION})


class KafkaRefused(Rejected):
    """The brokers know who asks or what is asked, and say no."""

    code = "KAFKA_REFUSED"


class TopicsMissing(Rejected):
    """The brokers have not the topics of the catalogue, or not as it says."""

    code = "TOPICS_MISSING"


class ClientStopped(Fatal):
    """The client has lost its place among the brokers and cannot go on without risking order or doubles."""

    code = "KAFKA_CLIENT_STOPPED"


def cause(error: BaseException) -> KafkaError | None:
    """The client's error inside an exception of its, or the error itself."""
    if isinstance(error, KafkaError):
        return error
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        return error.args[0]
    return None


def is_fenced(error: BaseException) -> bool:
    """A newer owner has taken over."""
    found = cause(error)
    return found is not None and found.code() in _FENCED


def translated(error: BaseException, doing: str) -> BaseException:
    """Ours for one of the client's; anything else comes back as it is. ``doing`` says what was tried."""
    found = cause(error)
    if found is None or isinstance(error, CandlewickError):
        return error
    detail = f"{doing} failed: {found.str()}, was {found.name()!r}"
    code = found.code()
    if code in _FENCED:
        return Fenced(detail, hint="A newer owner has taken over; start again")
    if found.fatal():
        return ClientStopped(detail, hint="Start again and go on from the committed positions")
    if code in _TOO_LARGE:
        return RecordTooLarge(detail, hint="Raise max.message.bytes of the topic with 'candlewick topics apply'")
    if code in _CORRUPT:
        return LogCorrupt(detail)
    if code == KafkaError.KAFKA_STORAGE_ERROR:
        return StorageFull(detail)
    if code in _REFUSED:
        return KafkaRefused(detail)
    return LogUnavailable(detail)
