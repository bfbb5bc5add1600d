-- Commands whose reply has no order of its own, or is chosen by chance: the order is that of bytes, the choice that of
-- the leader's seed.

local function chance()
  if not seeded then
    randomseed(seed)
    seeded = true
  end
end

local function pick(n)
  chance()
  return random(n)
end

function math_random(...)
  chance()
  return random(...)
end

function math_randomseed(...)
  randomseed(...)
  seeded = true
end

-- Whether the script has chosen RESP3.
local function richer()
  local r = native('command', 'docs', 'get')
  return type(r) == 'table' and r.map ~= nil
end

local function failed(r) return type(r) ~= 'table' or r.err end

-- A set or map of RESP3, filled in order: the order in which one goes through it depends on that.
function refilled(t)
  local names, out = {}, {}
  for k in next, t do names[#names + 1] = k end
  ordered(names)
  for i = 1, #names do out[names[i]] = t[names[i]] end
  return out, names
end

local function unordered(...)
  local r = native(...)
  if failed(r) then return r end
  if r.set then return {set = (refilled(r.set))} end
  return ordered(r)
end

-- The members of a set in order, or an error.
local function membersof(key)
  local r = native('smembers', key)
  if failed(r) then return nil, r end
  if not r.set then return ordered(r) end
  local _, names = refilled(r.set)
  return names
end

-- The fields of a hash in order and its values by field, or an error.
function fieldsof(key)
  local r = native('hgetall', key)
  if failed(r) then return nil, r end
  if r.map then
    local values, names = refilled(r.map)
    return names, values, true
  end
  local names, values = {}, {}
  for i = 1, #r, 2 do
    names[#names + 1] = r[i]
    values[r[i]] = r[i + 1]
  end
  return ordered(names), values
end

local function hgetall(...)
  local a, n = strings(...)
  if not a or n ~= 2 then return native(...) end
  local names, values, map = fieldsof(a[2])
  if not names then return values end
  if map and lower(a[1]) == 'hgetall' then return {map = values} end
  local out = {}
  for i = 1, #names do
    if lower(a[1]) == 'hgetall' then out[#out + 1] = names[i] end
    out[#out + 1] = values[names[i]]
  end
  return out
end

-- Places among n that count asks for: as many different ones, or with a negative count any.
local function places(count, n)
  local out = {}
  if count < 0 then
    for i = 1, -count do out[i] = pick(n) end
    return out
  end
  if count >= n then
    for i = 1, n do out[i] = i end
    return out
  end
  local moved = {}
  for i = 1, count do
    local j = i - 1 + pick(n - i + 1)
    out[i] = moved[j] or j
    moved[j] = moved[i] or i
  end
  return out
end

local many = 10000000

-- The count argument of a choice: nil if there is none, false if it is not one that is served.
local function countof(a, n, most)
  if n == 2 then return nil end
  local count = n <= most and integer(a[3])
  if not count or count > many * 1000 or count < -many then return false end
  return count
end

local function spop(...)
  local a, n = strings(...)
  if not a or n < 2 then return native(...) end
  local count = countof(a, n, 3)
  if count == false or count and count <= 0 then return native(...) end
  local members, err = membersof(a[2])
  if not members then return err end
  if #members == 0 then return native(...) end
  if not count then
    local member = members[pick(#members)]
    local r = native('srem', a[2], member)
    return failed(r) and type(r) == 'table' and r or member
  end
  local out, set = {}, {}
  for i, place in ipairs(places(count, #members)) do
    out[i] = members[place]
    set[out[i]] = true
  end
  for i = 1, #out, 1000 do
    local r = native('srem', a[2], unpack(out, i, i + 999 < #out and i + 999 or #out))
    if type(r) == 'table' then return r end
  end
  if richer() then return {set = set} end
  return out
end

local function chosen(a, n, list, count, ...)
  if not count then return list[pick(#list)] end
  local out = {}
  for i, place in ipairs(places(count, #list)) do out[i] = list[place] end
  return out
end

local function srandmember(...)
  local a, n = strings(...)
  if not logged or not a or n < 2 then return native(...) end
  local count = countof(a, n, 3)
  if count == false then return n > 3 and native(...) or fail('value is not an integer or out of range') end
  local members, err = membersof(a[2])
  if not members then return err end
  if #members == 0 then return native(...) end
  return chosen(a, n, members, count)
end

-- Elements of a hash or sorted set with what belongs to them.
local function paired(word, load)
  return function(...)
    local a, n = strings(...)
    if not logged or not a or n < 2 then return native(...) end
    local count = countof(a, n, 4)
    if count == false then return n > 4 and native(...) or fail('value is not an integer or out of range') end
    if n == 4 and option(a[4]) ~= word then return fail('syntax error') end
    local names, values = load(a[2])
    if not names then return values end
    if #names == 0 then return native(...) end
    local out = chosen(a, n, names, count)
    if n < 4 then return out end
    local both, nested = {}, richer()
    for _, name in ipairs(out) do
      if nested then
        both[#both + 1] = {name, values[name]}
      else
        both[#both + 1] = name
        both[#both + 1] = values[name]
      end
    end
    return both
  end
end

local function scoresof(key)
  local r = native('zrange', key, 0, -1, 'withscores')
  if failed(r) then return nil, r end
  local names, values = {}, {}
  if type(r[1]) == 'table' then
    for i = 1, #r do names[i], values[r[i][1]] = r[i][1], r[i][2] end
  else
    for i = 1, #r, 2 do
      names[#names + 1] = r[i]
      values[r[i]] = r[i + 1]
    end
  end
  return names, values
end

local function randomkey(...)
  if not logged or select('#', ...) ~= 1 then return native(...) end
  local keys = native('keys', '*')
  if failed(keys) or #keys == 0 then return native(...) end
  return ordered(keys)[pick(#keys)]
end

-- A scan goes through everything at once, since cursors belong to one server.
local function scanner(at, width)
  return function(...)
    local a, n = strings(...)
    if not a or n < at or not find(a[at], '^%d+$') then return native(...) end
    local cursor, all, seen = '0', {}, {}
    a[n + 1], a[n + 2] = 'count', '1000'
    repeat
      a[at] = cursor
      local r = native(unpack(a, 1, n + 2))
      if failed(r) then return r end
      cursor = r[1]
      for i = 1, #r[2], width do
        local name = r[2][i]
        if not seen[name] then
          seen[name] = r[2][i + width - 1]
          all[#all + 1] = name
        end
      end
    until cursor == '0'
    if not find((select(at, ...)), '^0+$') then return {'0', {}} end
    ordered(all)
    if width == 1 then return {'0', all} end
    local out = {}
    for i = 1, #all do
      out[#out + 1] = all[i]
      out[#out + 1] = seen[all[i]]
    end
    return {'0', out}
  end
end
