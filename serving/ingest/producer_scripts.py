"""Lua scripts of producers: each compares, appends and notes in one step. KEYS: the stream, the producer, the counter."""

from typing import Final

CLAIM: Final = """#!lua flags=allow-oom
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('HGET', KEYS[1], 'done') or '0'
"""
PLACE: Final = """local held = redis.call('HGET', KEYS[2], 'owner')
if held and held ~= ARGV[1] then return redis.error_reply('FENCED') end
local at, slot = 'last:' .. ARGV[2], ARGV[3]
local seq, part = tonumber(ARGV[4]), tonumber(ARGV[5])
local content = ARGV[4] .. ' ' .. ARGV[6]
local last = redis.call('HGET', KEYS[2], at)
if last then
  local last_seq, last_part = string.match(last, '(%d+)-(%d+)')
  last_seq, last_part = tonumber(last_seq), tonumber(last_part)
  if seq <= last_seq and redis.call('HGET', KEYS[2], slot) ~= content then return redis.error_reply('SEQUENCE ' .. last) end
  if seq < last_seq or (seq == last_seq and part <= last_part) then return 0 end
end
"""
"""Answers 0 where the entry was appended before; KEYS[2] = the producer."""
APPEND: Final = f"""#!lua
{PLACE}
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[7]) then return -1 end
redis.call('HSET', KEYS[2], 'owner', ARGV[1], at, ARGV[4] .. '-' .. ARGV[5], slot, content)
redis.call('XADD', KEYS[1], '*', 'o', redis.call('INCR', KEYS[3]), unpack(ARGV, 8))
return 1
"""
APPEND_ALL: Final = """#!lua
local held = redis.call('HGET', KEYS[2], 'owner')
if held and held ~= ARGV[1] then return redis.error_reply('FENCED') end
local at, slot, seq = 'last:' .. ARGV[2], ARGV[3], tonumber(ARGV[4])
local content = ARGV[4] .. ' ' .. ARGV[5]
local count = (#ARGV - 9) / 3
local length = redis.call('XLEN', KEYS[1])
local last = redis.call('HGET', KEYS[2], at)
if last and seq <= tonumber(string.match(last, '(%d+)-')) then
  if redis.call('HGET', KEYS[2], slot) ~= content then return redis.error_reply('SEQUENCE ' .. last) end
  return {0, length}
end
if length + count > tonumber(ARGV[6]) then return {-1, length} end
redis.call('HSET', KEYS[2], 'owner', ARGV[1], at, ARGV[4] .. '-' .. (count - 1), slot, content)
for i = 0, count - 1 do
  local first, added = 10 + 3 * i, {}
  if KEYS[3] then added = {'o', redis.call('INCR', KEYS[3])} end
  for _, value in ipairs({'k', ARGV[first], 'n', ARGV[first + 1], 'b', ARGV[first + 2], 't', ARGV[7], 'a', ARGV[8],
                          'p', ARGV[9], 's', ARGV[4] .. '-' .. i}) do added[#added + 1] = value end
  redis.call('XADD', KEYS[1], '*', unpack(added))
end
return {1, length + count}
"""
INTEND: Final = f"""#!lua flags=allow-oom
{PLACE}
local sent = redis.call('HGET', KEYS[2], 'sent:' .. ARGV[2])
if sent and seq <= tonumber(string.match(sent, '%d+')) and redis.call('HGET', KEYS[2], slot) ~= content then
  return redis.error_reply('SEQUENCE ' .. sent)
end
redis.call('HSET', KEYS[2], 'owner', ARGV[1], 'sent:' .. ARGV[2], ARGV[4] .. '-' .. ARGV[5], slot, content)
return 1
"""
"""Before an entry goes to a log of its own: its number is used from now on, whether the log takes it or not."""
APPENDED: Final = """#!lua flags=allow-oom
if redis.call('HGET', KEYS[2], 'owner') ~= ARGV[1] then return redis.error_reply('FENCED') end
redis.call('HSET', KEYS[2], 'last:' .. ARGV[2], ARGV[4] .. '-' .. ARGV[5])
return 1
"""
SENT: Final = """#!lua flags=allow-oom
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
if redis.call('XLEN', KEYS[1]) == 0 then redis.call('DEL', KEYS[1]) end
return 1
"""
"""Removes entries of an outbox before an id, and the outbox with the last of them."""
DONE: Final = """#!lua flags=allow-oom
local held = redis.call('HGET', KEYS[1], 'owner')
if held and held ~= ARGV[1] then return redis.error_reply('FENCED') end
if tonumber(ARGV[2]) > tonumber(redis.call('HGET', KEYS[1], 'done') or '0') then
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'done', ARGV[2])
end
if tonumber(ARGV[4]) > 0 then
  local clock, held = redis.call('TIME'), redis.call('HMGET', KEYS[1], 'newest', 'at', 'interval')
  local now, interval = clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(held[3] or '0')
  local gap = now - tonumber(held[2] or now)
  if gap > interval then interval = gap elseif gap > 0 then interval = interval + (gap - interval) * gap / (10 * interval) end
  local newest = ARGV[4]
  if held[1] and tonumber(held[1]) > tonumber(newest) then newest = held[1] end
  redis.call('HSET', KEYS[1], 'newest', newest, 'at', string.format('%.0f', now), 'interval', string.format('%.0f', interval),
    'lasting', ARGV[5])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
