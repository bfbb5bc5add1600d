do

-- Deadlines as the log has them: absolute by the leader's clock, and shifted so that no server expires a key by itself.
-- Errors are left to the server wherever it finds them by itself.

-- The arguments as strings; nil if the server is to complain about one.
local function strings(...)
  local a, n = {...}, select('#', ...)
  for i = 1, n do
    local kind = type(a[i])
    if kind == 'number' then
      a[i] = format('%.17g', a[i])
    elseif kind ~= 'string' then
      return nil, n
    end
  end
  return a, n
end

-- An option as the server reads it: up to the first NUL byte, in any case.
local function option(arg) return lower(match(arg, '^[^%z]*')) end

-- A 64-bit integer as the server takes one, or nil.
local function integer(s)
  if s == '0' then return 0 end
  local sign, digits = match(s, '^(%-?)([1-9]%d*)$')
  if not digits or #digits > 19 then return nil end
  if #digits == 19 then
    local high, low = tonumber(sub(digits, 1, 10)), tonumber(sub(digits, 11))
    local last = sign == '-' and 854775808 or 854775807
    if high > 9223372036 or (high == 9223372036 and low > last) then return nil end
  end
  local v = tonumber(digits)
  return sign == '-' and -v or v
end

-- What is stored for a time, or nil for one out of range. What has passed already, the server takes for expired at once.
local function stored(t, unit, relative)
  if unit == 1000 and (t > 9223372036854775 or t < -9223372036854775) then return nil end
  local ms = t * unit
  if relative then ms = ms + now end
  if ms > largest then return nil end
  if ms <= now then return '1' end
  if ms > exact then ms = exact end
  return format('%.0f', ms + shift)
end

local units = {
  ex = {1000, true}, px = {1, true}, exat = {1000, false}, pxat = {1, false},
  expire = {1000, true}, pexpire = {1, true}, expireat = {1000, false}, pexpireat = {1, false},
  setex = {1000, true}, psetex = {1, true}
}

local function invalid(name) return fail("invalid expire time in '" .. name .. "' command") end

local function expire(...)
  local a, n = strings(...)
  if not a or n < 3 then return native(...) end
  local name, t = lower(a[1]), integer(a[3])
  if t then
    a[3] = stored(t, units[name][1], units[name][2])
    if not a[3] then return invalid(name) end
  end
  a[1] = 'pexpireat'
  touch(a[2])
  return native(unpack(a, 1, n))
end

-- Replaces the expiry among the options from a position on. False if there is none, nil if there are different ones, on
-- which the server complains.
local function replace(a, n, from)
  local seen = false
  for i = from, n - 1 do
    local o = option(a[i])
    local unit = units[o]
    if unit and #o <= 4 then
      if seen and seen ~= o then return nil end
      seen = o
      local t = integer(a[i + 1])
      if t then a[i + 1] = t > 0 and stored(t, unit[1], unit[2]) or '0' end
      a[i] = 'pxat'
    end
  end
  return seen
end

local function set(...)
  if select('#', ...) <= 3 then return native(...) end
  local a, n = strings(...)
  local replaced = a and replace(a, n, 4)
  if not replaced then return native(...) end
  touch(a[2])
  return native(unpack(a, 1, n))
end

local function getex(...)
  local a, n = strings(...)
  local replaced = a and n > 3 and replace(a, n, 3)
  if not replaced then return native(...) end
  touch(a[2])
  return native(unpack(a, 1, n))
end

local function setex(...)
  local a, n = strings(...)
  if not a or n ~= 4 then return native(...) end
  local name, t = lower(a[1]), integer(a[3])
  if not t then return native(...) end
  local at = t > 0 and stored(t, units[name][1], true)
  if not at then return invalid(name) end
  touch(a[2])
  return native('set', a[2], a[4], 'pxat', at)
end

local function restore(...)
  local a, n = strings(...)
  if not a or n < 4 then return native(...) end
  local t = integer(a[3])
  if not t or t <= 0 then return native(...) end
  local absolute = false
  for i = 5, n do absolute = absolute or option(a[i]) == 'absttl' end
  a[3] = stored(t, 1, not absolute)
  if not a[3] then return invalid('restore') end
  if not absolute then
    n = n + 1
    a[n] = 'absttl'
  end
  touch(a[2])
  return native(unpack(a, 1, n))
end

local function ttl(...)
  local a, n = strings(...)
  if not a or n ~= 2 then return native(...) end
  local at = native('pexpiretime', a[2])
  if type(at) ~= 'number' or at < 0 then return at end
  if at < shift then return -2 end
  at = at - shift
  local name = lower(a[1])
  local left = at > now and at - now or 0
  if name == 'pexpiretime' then return at end
  if name == 'pttl' then return left end
  local seconds = name == 'expiretime' and at or left
  return (seconds + 500 - (seconds + 500) % 1000) / 1000
end

-- The other keys that a command gives a deadline to.
local function rename(...)
  local a, n = strings(...)
  if a and n == 3 then touch(a[3]) end
  return native(...)
end

-- The number of a database that scripts may name; otherwise nil, and the error if the server would not have one.
local function database(s)
  local v = integer(s)
  if not v then return nil end
  if v >= 0 and v < databases and v ~= reserved then return v end
  return nil, fail('DB index is out of range')
end

local function copy(...)
  local a, n = strings(...)
  if not a or n < 3 then return native(...) end
  local where = db
  for i = 4, n - 1 do
    if option(a[i]) == 'db' then
      local v, err = database(a[i + 1])
      if err then return err end
      where = v
    end
  end
  if where then touch(a[3], where) end
  return native(...)
end

local function move(...)
  local a, n = strings(...)
  if not a or n ~= 3 then return native(...) end
  local where, err = database(a[3])
  if err then return err end
  if where then touch(a[2], where) end
  return native(...)
end

local function choose(...)
  local a, n = strings(...)
  if not a or n ~= 2 then return native(...) end
  local where, err = database(a[2])
  if err then return err end
  local r = native(...)
  if where and not r.err then db = where end
  return r
end

-- FLUSHALL would take what the replicas keep for themselves with it.
local function flushall(...)
  local a, n = strings(...)
  if not a or n > 2 then return native(...) end
  local r
  for i = 0, databases - 1 do
    if i ~= reserved then
      native('select', i)
      r = native('flushdb', unpack(a, 2, n))
      if r.err then break end
    end
  end
  native('select', db)
  return r
end
