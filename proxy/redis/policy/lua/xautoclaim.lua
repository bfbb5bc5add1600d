-- XAUTOCLAIM. ARGV: see pending.lua, then the group, the consumer, the first ID, the count, the time of delivery as it is
-- stored, and JUSTID or nothing. KEYS: the stream.
local key, group, consumer, from, count = KEYS[1], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local probe = redis.pcall('XPENDING', key, group, '-', '+', 1)
if probe.err then return redis.pcall('XAUTOCLAIM', key, group, consumer, '0', '0-0') end
local claim, deleted, claimed = {}, {}, 0
local cursor, attempts = nil, count * 10
while not cursor do
  local list, ms = pending(key, group, from, '+', math.min(attempts + 1, 200))
  if #list == 0 then break end
  for _, item in ipairs(list) do
    local id = item[1]
    if attempts == 0 or claimed + #deleted == count then
      cursor = id
      break
    end
    attempts = attempts - 1
    if not exists(key, id) then
      deleted[#deleted + 1] = id
      claim[#claim + 1] = id
    elseif idle(item, ms) then
      claimed = claimed + 1
      claim[#claim + 1] = id
    end
    from = '(' .. id
  end
end
local reply = {}
for i = 1, #claim, 1000 do
  local args = {key, group, consumer, '0', unpack(claim, i, math.min(i + 999, #claim))}
  args[#args + 1] = 'TIME'
  args[#args + 1] = ARGV[8]
  args[#args + 1] = ARGV[9]
  for _, item in ipairs(redis.call('XCLAIM', unpack(args))) do reply[#reply + 1] = item end
end
return {cursor or '0-0', reply, deleted}
