-- Streams: ids and delivery times by the leader's clock, and trimming to the letter.

-- XADD and XTRIM without ~, by which each server would trim as its memory is laid out.
local function trimmed(a, n, add)
  local out, i = {a[1], a[2]}, 3
  local about = false
  while i <= n do
    local o = option(a[i])
    if (o == 'maxlen' or o == 'minid') and i < n then
      out[#out + 1] = a[i]
      i = i + 1
      if a[i] == '~' and i < n then
        about = true
        i = i + 1
      end
      out[#out + 1] = a[i]
      if a[i] == '=' and i < n then
        i = i + 1
        out[#out + 1] = a[i]
      end
    elseif o == 'limit' and i < n and about then
      i = i + 1
    elseif add and o ~= 'limit' and o ~= 'nomkstream' then
      break
    else
      out[#out + 1] = a[i]
    end
    i = i + 1
  end
  local place = #out + 1
  for j = i, n do out[#out + 1] = a[j] end
  return out, place
end

local function lastid(key)
  local r = native('xinfo', 'stream', key)
  if failed(r) then return nil end
  if r.map then return r.map['last-generated-id'] end
  for i = 1, #r, 2 do
    if r[i] == 'last-generated-id' then return r[i + 1] end
  end
end

local function xadd(...)
  local a, n = strings(...)
  if not a or n < 5 then return native(...) end
  local out, place = trimmed(a, n, true)
  if not out[place] or match(out[place], '^[^%z]*') ~= '*' then return native(unpack(out)) end
  out[place] = format('%.0f-*', now)
  local r = native(unpack(out))
  if type(r) == 'table' and r.err and find(r.err, 'equal or smaller than the target stream top item', 1, true) then
    local last = lastid(a[2])
    if last then
      out[place] = match(last, '^%d+') .. '-*'
      return native(unpack(out))
    end
  end
  return r
end

local function xtrim(...)
  local a, n = strings(...)
  if not a or n < 4 then return native(...) end
  return native(unpack((trimmed(a, n, false))))
end

-- Gives entries that a group has just delivered the leader's time.
local function delivered(key, group, consumer, ids)
  for i = 1, #ids, 1000 do
    local command = {'xclaim', key, group, consumer, '0'}
    for j = i, i + 999 < #ids and i + 999 or #ids do command[#command + 1] = ids[j] end
    command[#command + 1] = 'time'
    command[#command + 1] = format('%.0f', now)
    command[#command + 1] = 'justid'
    native(unpack(command))
  end
end

local function idsof(entries)
  local ids = {}
  for i = 1, #entries do
    if type(entries[i]) == 'string' then
      ids[#ids + 1] = entries[i]
    elseif entries[i][2] then
      ids[#ids + 1] = entries[i][1]
    end
  end
  return ids
end

local function xreadgroup(...)
  local a, n = strings(...)
  if not a or n < 7 then return native(...) end
  local r = native(...)
  if failed(r) then return r end
  local group, consumer, noack
  for i = 2, n do
    local o = option(a[i])
    if o == 'streams' then break end
    if o == 'group' and i + 2 <= n and not group then group, consumer = a[i + 1], a[i + 2] end
    noack = noack or o == 'noack'
  end
  if noack or not group then return r end
  if r.map then
    for key, entries in next, r.map do delivered(key, group, consumer, idsof(entries)) end
    return {map = (refilled(r.map))}
  end
  for i = 1, #r do delivered(r[i][1], group, consumer, idsof(r[i][2])) end
  return r
end

local idle = 'how long an entry is idle is measured by the clock of each server'

local function xclaim(...)
  local a, n = strings(...)
  if not a or n < 6 then return native(...) end
  local least = integer(a[5])
  if not least then return native(...) end
  if least > 0 then return refuse('xclaim', idle .. '; use a min-idle-time of 0') end
  local timed = false
  for i = 7, n do
    local o = option(a[i])
    local v = i < n and integer(a[i + 1])
    if o == 'time' then timed = true end
    if o == 'idle' and v then
      a[i], a[i + 1] = 'time', format('%.0f', now - v)
      timed = true
    end
  end
  if not timed then
    a[n + 1], a[n + 2] = 'time', format('%.0f', now)
    n = n + 2
  end
  return native(unpack(a, 1, n))
end

local function xautoclaim(...)
  local a, n = strings(...)
  if not a or n < 6 then return native(...) end
  local least = integer(a[5])
  if not least then return native(...) end
  if least > 0 then return refuse('xautoclaim', idle .. '; use a min-idle-time of 0') end
  local r = native(...)
  if not failed(r) and r[2] then delivered(a[2], a[3], a[4], idsof(r[2])) end
  return r
end

local function xpending(...)
  if logged and select('#', ...) > 3 then return refuse('xpending', idle) end
  return native(...)
end
