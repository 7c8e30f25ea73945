"""What the server does in one step. ``KEYS`` are (counter) or (value, lock); times are ms.

A lock holds the token of the flight that computes, or ``!`` and the token of one that failed.
"""

from typing import Final

COUNT: Final = """
local number = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return number
"""

#: The value; or what the lock holds, which is our own token if we are to compute. ARGV: token, lease, waited for.
BOARD: Final = """
local value = redis.call('GET', KEYS[1])
if value then return {value, false} end
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= '!' .. ARGV[3] and string.sub(holder, 1, 1) == '!' then holder = false end
if not holder then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  holder = ARGV[1]
end
return {false, holder}
"""

#: Keep the lock a while longer. ARGV: token, lease.
RENEW: Final = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])
"""

#: Keep what was computed, unless the lock was lost meanwhile. ARGV: token, value, time to live.
LAND: Final = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return redis.call('DEL', KEYS[2])
"""

#: Give the lock back. ARGV: token, how long a failure is told (0: it was none).
LEAVE: Final = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if tonumber(ARGV[2]) == 0 then return redis.call('DEL', KEYS[2]) end
redis.call('SET', KEYS[2], '!' .. ARGV[1], 'PX', ARGV[2])
return 1
"""
