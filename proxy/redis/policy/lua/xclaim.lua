-- XCLAIM with a minimum idle time. ARGV: see pending.lua, then the group, the consumer, the number of IDs, the IDs and
-- the other arguments of XCLAIM. KEYS: the stream.
local key, group, count = KEYS[1], ARGV[4], tonumber(ARGV[6])
local probe = redis.pcall('XPENDING', key, group, '-', '+', 1)
if probe.err then return redis.pcall('XCLAIM', key, group, ARGV[5], '0', '0-0') end
local args = {key, group, ARGV[5], '0'}
for i = 7, 6 + count do
  local id = ARGV[i]
  local list, ms = pending(key, group, id, id, 1)
  -- What is not pending and what was deleted is left to Redis.
  if #list == 0 or not exists(key, id) or idle(list[1], ms) then args[#args + 1] = id end
end
-- An ID that nothing has stands for none.
if #args == 4 then args[5] = '0-0' end
for i = 7 + count, #ARGV do args[#args + 1] = ARGV[i] end
return redis.pcall('XCLAIM', unpack(args))
