"""What a Progress says about the life of the feed, written into the state before time moves."""

from candlewick.quant.candles.kernels import begin
from candlewick.quant.candles.layout import (
    FOREVER,
    H_ALIVE,
    H_ALIVE_FROM,
    H_ALIVE_TO,
    H_DEAD_FROM,
    H_DEAD_TO,
    H_MINUTE_NEXT,
    H_WATERMARK,
    MAX_PROVEN_JUMP,
    NEVER,
    Words,
)

_UNSAID, _ALIVE, _DEAD = 0, 1, 2


def hear(state: Words, through: int, alive: bool) -> None:
    """One Progress: ``through`` is its complete_through. Time itself is not moved, but it begins here if new."""
    if state[H_WATERMARK] == NEVER:
        begin(state, through, through)
    was = int(state[H_ALIVE])
    if alive and was == _ALIVE and through - max(int(state[H_ALIVE_TO]), int(state[H_WATERMARK])) > MAX_PROVEN_JUMP:
        _die(state, int(state[H_ALIVE_TO]))
        was = _DEAD
    if not alive:
        if was != _DEAD:
            _die(state, int(state[H_ALIVE_TO]) if was == _ALIVE else through)
        return
    if was != _ALIVE:
        if was == _DEAD:
            state[H_DEAD_TO] = max(through, int(state[H_DEAD_FROM]))
        state[H_ALIVE] = _ALIVE
        state[H_ALIVE_FROM] = state[H_ALIVE_TO] = through
    else:
        state[H_ALIVE_TO] = max(through, int(state[H_ALIVE_TO]))


def _die(state: Words, since: int) -> None:
    state[H_ALIVE] = _DEAD
    if state[H_DEAD_TO] <= state[H_MINUTE_NEXT]:
        state[H_DEAD_FROM] = since
    state[H_DEAD_TO] = FOREVER
