-- What a script does in one go may take as long, and as much memory, as many rounds of a loop. It is counted in steps: by the
-- size of strings before they are made, by the elements of tables, and by every look of a search that may take long.
--
-- Functions that scripts call are given the level at which errors find the script: 3, or 4 where one is called as a method.

do

-- How many bytes a value has as a string; nil if it is none.
function size(v)
  local kind = type(v)
  if kind == 'string' then return #v end
  return kind == 'number' and 20 or nil
end

function spend(n, level)
  if n > 0 then steps = steps + n end
  if steps > limit then error(verdict, level) end
end

-- Errors of the server in functions that call back: whatever else they raise is not the server's.
local texts = {
  '^invalid order function', '^invalid replacement', '^invalid capture', '^invalid pattern', '^malformed pattern', '^missing ',
  '^unfinished capture', '^unbalanced', '^too many captures'
}

local function isserver(name, message)
  if find(message, '^user_%w+:%d+: ') then return false end
  if name ~= 'sort' and name ~= 'gsub' then return true end
  for _, text in ipairs(texts) do
    if find(message, text) then return true end
  end
  return false
end

-- What pcall has returned for a function of the server, or its error as if the script had called it.
function outcomes(name, level, ok, ...)
  if ok then return ... end
  local message = ...
  if type(message) ~= 'string' then error(message, 0) end
  local n, why = match(message, "^bad argument #(%d+) to '%?' (%(.*)$")
  if n then
    -- Whom a function of the server has called has no name.
    local _, where = pcall(error, '', level + 1)
    if where == '' then name = '?' end
    error('bad argument #' .. (level == 4 and n - 1 or n) .. " to '" .. name .. "' " .. why, level)
  end
  error(message, isserver(name, message) and level or 0)
end

-- A function of the server that takes the steps that cost says of its arguments. cost also says if they are certain to raise
-- no error.
function costing(name, f, cost, level)
  level = level or 3
  return function(...)
    local n, sound = cost(...)
    if n > 0 then steps = steps + n end
    if steps > limit then error(verdict, level - 1) end
    if sound then return f(...) end
    return outcomes(name, level, pcall(f, ...))
  end
end

-- What a function has returned, with the steps for the strings in it: for those of which nobody knows before how much they make,
-- but no more than they are given.
local function paid(level, ...)
  for i = 1, select('#', ...) do
    local v = select(i, ...)
    if type(v) == 'string' then steps = steps + #v / unit end
  end
  if steps > limit then error(verdict, level) end
  return ...
end

function payingafter(name, f, cost)
  return function(...)
    spend(cost(...), 3)
    return paid(3, outcomes(name, 3, pcall(f, ...)))
  end
end

-- error puts the position before a message, which makes another string.
function counterror(...)
  local message, level = ...
  spend((size(message) or 0) / unit, 3)
  if level ~= nil and not tonumber(level) then return outcomes('error', 3, pcall(error, ...)) end
  level = tonumber(level) or 1
  error(message, level > 0 and level + 1 or level)
end

-- One side of .. may be an object that has a function for that.
local function handles(v)
  local meta = type(v) == 'table' and getmetatable(v)
  return type(meta) == 'table' and rawget(meta, '__concat') ~= nil
end

local function join(a, b)
  local x, y = size(a), size(b)
  if x and y then
    steps = steps + (x + y) / unit
    if steps > limit then error(verdict, 3) end
    return a .. b
  end
  if handles(a) or handles(b) then return a .. b end
  if x then a = b end
  error('attempt to concatenate a ' .. type_(a) .. ' value', 3)
end

-- a .. b .. c and so on.
local function row(...)
  local list, n, bytes = {...}, select('#', ...), 0
  for i = 1, n do
    bytes = bytes and size(list[i]) and bytes + size(list[i])
  end
  if bytes then
    spend(bytes / unit, 3)
    return concat(list)
  end
  local r = list[n]
  for i = n - 1, 1, -1 do r = join(list[i], r) end
  return r
end

-- tonumber reads a string to its end.
local function reading(...)
  local v, base = ...
  if type(v) == 'string' then
    if #v > unit then spend(#v / unit, 3) end
    if base == nil then return (tonumber(v)) end
  end
  return outcomes('tonumber', 3, pcall(tonumber, ...))
end

-- What stands in scripts for operators and methods: see 2a_operators.lua.
function countoperators()
  joined = setmetatable({}, {__concat = function(a)
    local b = joining
    joining = nil
    if type(a) == 'string' and type(b) == 'string' then
      steps = steps + (#a + #b) / unit
      if steps <= limit then return a .. b end
    end
    return join(a, b)
  end})
  api.__nexus_cat = setmetatable({}, {__concat = function(_, b)
    joining = b
    return joined
  end})
  api.__nexus_compared = setmetatable({}, {__concat = function(_, b)
    if type(b) == 'string' then
      steps = steps + #b / unit
      if steps > limit then error(verdict, 2) end
    end
    return b
  end})
  api.__nexus_row, api.__nexus_all = row, select
  for name, f in next, methods do api['__nexus_m_' .. name] = f end
end

local function whole(s) return (size(s) or 0) / unit, type(s) == 'string' end

local function part(s, i, j)
  local n = size(s) or 0
  local sound = type(s) == 'string' and type(i) == 'number' and (j == nil or type(j) == 'number')
  i, j = tonumber(i) or 1, tonumber(j) or -1
  if i < 0 then i = n + i + 1 end
  if j < 0 then j = n + j + 1 end
  return ((j < n and j or n) - (i > 1 and i or 1) + 1) / unit, sound
end

local function formatted(...)
  local n = 0
  for i = 1, select('#', ...) do n = n + (size((select(i, ...))) or 0) end
  -- %q may make four bytes of one.
  if size((...)) and find((...), 'q', 1, true) then n = 4 * n end
  return 1 + n / unit
end

local costs = {
  rep = function(s, n)
    return ((size(s) or 0) + 4) * (tonumber(n) or 0) / unit, type(s) == 'string' and type(n) == 'number'
  end,
  upper = whole, lower = whole, reverse = whole, sub = part, format = formatted,
}

-- The functions of strings, and methods.
function countstrings()
  api.tonumber = reading
  local made = searches()
  for name, cost in next, costs do
    local f = string[name]
    made[name] = function(level) return costing(name, f, cost, level) end
  end
  local fields = {}
  for name, make in next, made do
    fields[name] = make(3)
    local f = make(4)
    methods[name] = function(object)
      if type(object) == 'string' then return function(...) return f(object, ...) end end
      if type(object) ~= 'table' then error('attempt to index a ' .. type_(object) .. ' value', 2) end
      local own = object[name]
      if type_(own) ~= 'function' and not (type(own) == 'table' and getmetatable(own)) then
        error("attempt to call method '" .. name .. "' (a " .. type_(own) .. ' value)', 2)
      end
      return function(...) return own(object, ...) end
    end
  end
  return fields
end

local function lengthof(t) return type(t) == 'table' and #t or 0 end

local function concatenated(t, between, i, j)
  if type(t) ~= 'table' then return 0 end
  local n, each = 0, (size(between) or 0) + 4
  local sound = i == nil and (between == nil or type(between) == 'string')
  for k = tonumber(i) or 1, tonumber(j) or #t do
    local v = size(rawget(t, k))
    if not v then
      sound = false
      break
    end
    n = n + v + each
  end
  return n / unit, sound
end

-- How many elements make room, or close the gap.
local function moved(t, at)
  return (lengthof(t) - (tonumber(at) or lengthof(t))) / 4, type(t) == 'table' and (at == nil or type(at) == 'number')
end

-- Comparisons of numbers, and of strings by their bytes.
local function sorted(t)
  local n, bytes, rounds = lengthof(t), 0, 1
  for i = 1, n do
    local v = rawget(t, i)
    if type(v) == 'string' then bytes = bytes + #v end
  end
  while 2 ^ rounds < n do rounds = rounds + 1 end
  return n * 3 + bytes / unit * rounds
end

-- The bytes of the arguments of a command, which the server copies, up to the first that is nil: it takes none behind that.
function argued(_, a, b, ...)
  local n = type(a) == 'string' and #a or 0
  if b == nil then return n end
  if type(b) == 'string' then n = n + #b end
  if ... == nil then return n end
  local rest = {...}
  for i = 1, #rest do
    local v = rest[i]
    if type(v) == 'string' then n = n + #v end
  end
  return n
end

-- The functions of tables.
function counttables()
  local fields = {}
  for name, cost in next, {
    concat = concatenated, remove = moved, maxn = lengthof, foreachi = lengthof,
    sort = sorted,
  } do
    fields[name] = costing(name, table[name], cost)
  end
  local insert = table.insert
  fields.insert = function(...)
    local n, t, at = select('#', ...), ...
    if n == 2 and type(t) == 'table' then return insert(...) end
    spend(n == 3 and (moved(t, at)) or 0, 3)
    return outcomes('insert', 3, pcall(insert, ...))
  end
  return fields
end

-- Every element of a tree, as an encoder goes through it. Reports true if the encoder will not get to its end.
local function weighed(v, depth, deepest)
  local kind = type(v)
  if kind == 'string' then
    steps = steps + #v / 8
  elseif kind == 'table' then
    if depth > deepest then return true end
    -- The order of keys must not decide how far this gets.
    for k in next, v do
      local kind = type(k)
      if kind ~= 'string' and kind ~= 'number' then return true end
    end
    for k, x in next, v do
      steps = steps + 2 + (size(k) or 0) / 8
      if steps > limit then error(verdict, 0) end
      kind = type(x)
      if kind == 'string' then
        steps = steps + #x / 8
      elseif kind == 'table' and weighed(x, depth + 1, deepest) then
        return true
      end
    end
  end
end

-- What it costs to encode a value of tables as deep as that.
function weigh(v, deepest)
  local begun = steps
  if weighed(v, 1, deepest) then steps = begun + 1000 end
  return 1
end

end
