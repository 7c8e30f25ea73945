"""The suite of the stream runtime's port. Bind an engine with a fixture ``harness`` that gives a fresh
``StreamHarness``:

    class TestQuixRuntime(StreamConformance):
        @pytest.fixture
        def harness(self): return QuixHarness(...)

``laws()`` lists which test holds which number.
"""

from candlewick.testing.conformance.stream_harness import TOPICS, StreamHarness
from candlewick.testing.conformance.stream_members import MemberLaws
from candlewick.testing.conformance.stream_results import ResultLaws

__all__ = ["TOPICS", "StreamConformance", "StreamHarness", "laws"]


class StreamConformance(ResultLaws, MemberLaws):
    """All of it."""


def laws() -> dict[str, tuple[tuple[int, ...], str]]:
    """Test name -> (numbers of the laws it holds, its promise in one line)."""
    found: dict[str, tuple[tuple[int, ...], str]] = {}
    for part in StreamConformance.__mro__:
        for name, function in vars(part).items():
            if name.startswith("test_"):
                found.setdefault(name, (function.laws, (function.__doc__ or "").strip().partition("\n")[0]))
    return found
