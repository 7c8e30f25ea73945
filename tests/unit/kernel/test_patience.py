"""What passes by itself is told once, whatever number of tries it takes."""

from candlewick.kernel.errors import Retryable, StorageFull
from candlewick.kernel.patience import Patience


class Said:
    def __init__(self):
        self.lines = []

    def error(self, what, *, code, detail):
        self.lines.append((what, code, detail))

    def info(self, what, *, waited_for):
        self.lines.append((what, waited_for))


async def test_told_once_with_longer_and_longer_waits_and_again_when_over():
    clock, said = Clock(), Said()
    patience = Patience(clock, said, "the store", most_s=0.4)
    for _ in range(6):
        await patience.wait(StorageFull("no room"))
    assert clock.slept == [0.05, 0.1, 0.2, 0.4, 0.4, 0.4]
    assert isinstance(patience.refusal, StorageFull)
    await patience.wait(Retryable("nobody there"))
    patience.over()
    patience.over()
    assert patience.refusal is None
    assert said.lines == [
        ("the store waits; it is tried again", "STORAGE_FULL", "no room"),
        ("the store waits; it is tried again", "UNAVAILABLE", "nobody there"),
        ("the store goes on", "UNAVAILABLE"),
    ]
    await patience.wait(StorageFull("no room"))
    assert clock.slept[-1] == 0.05, "the next trouble begins with a short wait"


class Clock:
    """Time that passes as soon as somebody waits for it."""

    def __init__(self):
        self.slept = []

    async def sleep(self, seconds):
        self.slept.append(seconds)
