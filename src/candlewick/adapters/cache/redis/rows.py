"""Rows of a window as bytes, and what the server does with them in one step.

A symbol's windows are one hash. Its field ``at`` holds the log positions as lines ``topic:partition:epoch:offset``; its
field ``60`` the window of the timeframe of 60 s: rows of 88 bytes, little-endian, oldest first. Any language reads a
window by ``HGET namespace:window:exchange:symbol 60``:

    0 int64 open time, ms     8 int64 rank (see below)    16 float64 open, high, low, close, volume, quote volume,
    taker buy volume         72 int64 trades, -1: not known    80 int32 revision    84 uint8 flags    85 uint8 origin

Of two rows of one open time the higher rank stands: bit 40 says that the candle is whole, below it stands the revision,
and in the last byte the rank of its origin.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.stream import GAPPED
from candlewick.ports.windows import Rows
from candlewick.quant.candles.merge import ORIGIN_RANK
from candlewick.quant.windows.ring import FIELDS

_RANK: Final = "rank"
_FIELDS: Final = tuple(name for name, _ in FIELDS)
_WIDE: Final = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume")
ROW: Final = np.dtype(
    [
        ("open_time_ms", "<i8"), (_RANK, "<i8"), *[(name, "<f8") for name in _WIDE], ("trades", "<i8"),
        ("revision", "<i4"), ("flags", "u1"), ("origin", "u1"), ("", "V2"),
    ]
)  # fmt: skip
assert ROW.itemsize == 88, "as MERGE has it"
_ORIGIN_RANKS: Final = np.zeros(256, np.int64)
for _origin, _rank in ORIGIN_RANK.items():
    _ORIGIN_RANKS[_origin] = _rank

# KEYS: the symbol. ARGV: time to live in ms, capacity; the place and positions after and at as lines, "" and "" to
# seed; how many windows follow, and each as its field and its rows; places and positions to seed.
MERGE: Final = """
local SIZE = 88
local key, capacity = KEYS[1], tonumber(ARGV[2])

local function position(line)
  local place, epoch, offset = string.match(line, '^(.*):(%d+):(%d+)$')
  return place, tonumber(epoch), tonumber(offset)
end
local function is_before(epoch, offset, than_epoch, than_offset)
  return epoch < than_epoch or (epoch == than_epoch and offset < than_offset)
end

local places, order = {}, {}
for line in string.gmatch(redis.call('HGET', key, 'at') or '', '[^\\n]+') do
  local place, epoch, offset = position(line)
  places[place] = {epoch, offset}
  order[#order + 1] = place
end
local function reach(line)
  local place, epoch, offset = position(line)
  local known = places[place]
  if not known then order[#order + 1] = place end
  if not known or is_before(known[1], known[2], epoch, offset) then places[place] = {epoch, offset} end
end

if ARGV[3] ~= '' then
  local place, epoch, offset = position(ARGV[3])
  local known = places[place]
  if not known or is_before(known[1], known[2], epoch, offset) then return 0 end
  reach(ARGV[4])
end

local function row_at(rows, place)
  return struct.unpack('<i8i8', rows, place * SIZE + 1)
end
local function merged(rows, row)
  local count = #rows / SIZE
  local open, rank = struct.unpack('<i8i8', row)
  local place = count
  while place > 0 do
    local there, its_rank = row_at(rows, place - 1)
    if there == open then
      if rank <= its_rank then return rows end
      return string.sub(rows, 1, (place - 1) * SIZE) .. row .. string.sub(rows, place * SIZE + 1)
    end
    if there < open then break end
    place = place - 1
  end
  if place == 0 and count >= capacity then return rows end
  rows = string.sub(rows, 1, place * SIZE) .. row .. string.sub(rows, place * SIZE + 1)
  return string.sub(rows, -capacity * SIZE)
end

local last = 5 + 2 * tonumber(ARGV[5])
for at = 6, last, 2 do
  local rows, new = redis.call('HGET', key, ARGV[at]) or '', ARGV[at + 1]
  for begin = 1, #new, SIZE do rows = merged(rows, string.sub(new, begin, begin + SIZE - 1)) end
  redis.call('HSET', key, ARGV[at], rows)
end
for at = last + 1, #ARGV do reach(ARGV[at]) end

local lines = {}
for at, place in ipairs(order) do
  lines[at] = string.format('%s:%.0f:%.0f', place, places[place][1], places[place][2])
end
redis.call('HSET', key, 'at', table.concat(lines, '\\n'))
redis.call('PEXPIRE', key, ARGV[1])
return 1
"""


def packed(rows: Rows) -> bytes:
    """These rows, in their order, as bytes."""
    count = len(rows["open_time_ms"])
    out = np.zeros(count, ROW)
    for name in _FIELDS:
        out[name] = rows[name]
    whole = (out["flags"] & GAPPED) == 0
    revisions = out["revision"].astype(np.int64)
    out[_RANK] = (whole.astype(np.int64) << 40) | (revisions << 8) | _ORIGIN_RANKS[out["origin"]]
    return out.tobytes()


def unpacked(data: bytes, n: int) -> dict[str, NDArray[Any]]:
    """The newest ``n`` rows as arrays of their own."""
    rows = np.frombuffer(data, ROW)
    rows = rows[max(0, len(rows) - max(0, n)) :]
    return {name: rows[name].copy() for name in _FIELDS}
