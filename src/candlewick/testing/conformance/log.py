"""The suite of the log port. Bind an adapter with a fixture ``harness`` that gives a fresh ``LogHarness``:

    class TestKafkaLog(LogConformance):
        @pytest.fixture
        def harness(self, tmp_path): return KafkaHarness(...)

Laws are those of ``ports.log``'s prose; ``laws()`` lists which test holds which number. No test assumes dense offsets,
order across partitions, or that a record is visible at once.
"""

from candlewick.testing.conformance.log_delivery import DeliveryLaws
from candlewick.testing.conformance.log_groups import GroupLaws
from candlewick.testing.conformance.log_harness import TOPICS, LogHarness
from candlewick.testing.conformance.log_keeping import KeepingLaws
from candlewick.testing.conformance.log_transactions import TransactionLaws

__all__ = ["TOPICS", "LogConformance", "LogHarness", "laws"]


class LogConformance(DeliveryLaws, TransactionLaws, GroupLaws, KeepingLaws):
    """All of it."""


def laws() -> dict[str, tuple[tuple[int, ...], str]]:
    """Test name -> (numbers of the laws it holds, its promise in one line)."""
    found: dict[str, tuple[tuple[int, ...], str]] = {}
    for part in LogConformance.__mro__:
        for name, function in vars(part).items():
            if name.startswith("test_"):
                found.setdefault(name, (function.laws, (function.__doc__ or "").strip().partition("\n")[0]))
    return found
