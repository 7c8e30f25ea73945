"""What a Progress says about the life of the feed, written into the state before time moves."""

from candlewick.quant.candles.kernels import begin
from candlewick.quant.candles.layout import (
    DAY,
    FOREVER,
    FRAMES_AT,
    GAPS_AT,
    H_ALIVE,
    H_ALIVE_FROM,
    H_ALIVE_TO,
    H_DEAD_FROM,
    H_DEAD_TO,
    H_MAX_TS,
    H_MINUTE_NEXT,
    H_SECOND_NEXT,
    H_WATERMARK,
    MAX_PROVEN_JUMP,
    MINUTE,
    NEVER,
    SECOND,
    SECONDS_AT,
    SLOT,
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
        if was == _ALIVE and through < int(state[H_ALIVE_TO]):
            return  # said of a time that has been proven since: a killed producer says it again
        if was != _DEAD:
            # Before any alive Progress the newest trade is the last sign of life.
            sign = int(state[H_MAX_TS])
            _die(state, int(state[H_ALIVE_TO]) if was == _ALIVE else through if sign == NEVER else min(sign, through))
        return
    if was != _ALIVE:
        if was == _DEAD:
            state[H_DEAD_TO] = max(through, int(state[H_DEAD_FROM]))
        state[H_ALIVE] = _ALIVE
        state[H_ALIVE_FROM] = state[H_ALIVE_TO] = through
    else:
        state[H_ALIVE_TO] = max(through, int(state[H_ALIVE_TO]))


def skip(state: Words, until: int) -> None:
    """Where nothing is open and the feed is not alive, nothing can become final: go to ``until`` at once."""
    nothing_open = (state[SECONDS_AT:FRAMES_AT:SLOT] < 0).all() and not state[FRAMES_AT:GAPS_AT].any()
    # Minutes up to the last sign of life may still be empty candles.
    silent = state[H_ALIVE] != _ALIVE and state[H_MINUTE_NEXT] > state[H_ALIVE_TO]
    if nothing_open and silent and until - int(state[H_MINUTE_NEXT]) > DAY:
        state[H_MINUTE_NEXT] = until // MINUTE * MINUTE
        state[H_SECOND_NEXT] = until // SECOND * SECOND


def _die(state: Words, since: int) -> None:
    state[H_ALIVE] = _DEAD
    if state[H_DEAD_TO] <= state[H_MINUTE_NEXT]:
        state[H_DEAD_FROM] = since
    state[H_DEAD_TO] = FOREVER
