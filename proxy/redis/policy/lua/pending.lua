-- What XCLAIM and XAUTOCLAIM have in common. ARGV[1] is the leader's time in milliseconds, ARGV[2] what is subtracted
-- from times of delivery when they are stored, ARGV[3] the idle time that is asked for.
local now, shift, least = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
-- XPENDING tells how long ago something was by the clock of this server. Asked between two looks at that clock in the
-- same millisecond, it tells when it was, which is the same on every server.
local function pending(key, group, from, to, count)
  while true do
    local t = redis.call('TIME')
    local list = redis.call('XPENDING', key, group, from, to, count)
    local u = redis.call('TIME')
    local ms = t[1] * 1000 + math.floor(t[2] / 1000)
    if ms == u[1] * 1000 + math.floor(u[2] / 1000) then return list, ms end
    if count > 1 then count = math.ceil(count / 2) end
  end
end
-- Whether an item of a list is idle for long enough by the leader's time.
local function idle(item, ms)
  if least <= 0 then return true end
  local at = ms - item[3]
  if at < now - shift / 2 then at = at + shift end
  return now - at >= least
end
local function exists(key, id)
  return #redis.call('XRANGE', key, id, id) > 0
end
