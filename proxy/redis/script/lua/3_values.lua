-- The functions of Lua that could tell one server from another, without what could.

-- What scripts find under a name instead of what the server has there.
local api = {}

-- Tables that scripts share and cannot change, with their contents.
local contents = {}

local function shared(fields, meta)
  local t = {}
  meta = meta or {}
  meta.__index = meta.__index or fields
  meta.__newindex = function() error('Attempt to modify a readonly table', 2) end
  contents[t] = fields
  return setmetatable(t, meta)
end

-- table.insert and the like go past metatables. What they left, no later script sees.
local function cleanup()
  for t in next, contents do
    while true do
      local k = next(t)
      if k == nil then break end
      t[k] = nil
    end
  end
end

local call -- redis.call, a table that is called as a function: see 7a_call.lua

local function type_(...)
  local v = ...
  if v == nil and select('#', ...) == 0 then error("bad argument #1 to 'type' (value expected)", 2) end
  if v == call then return 'function' end
  return type(v)
end

-- Tables and functions by the order in which they were asked for, instead of by their addresses.
local numbers, count = {}, 0

local function tostring_(...)
  local v = ...
  if v == nil and select('#', ...) == 0 then error("bad argument #1 to 'tostring' (value expected)", 2) end
  local kind = type_(v)
  if kind ~= 'table' and kind ~= 'function' and kind ~= 'thread' and kind ~= 'userdata' then return tostring(...) end
  if kind == 'table' then
    local meta = getmetatable(v)
    if type(meta) == 'table' and rawget(meta, '__tostring') then return tostring(v) end
  end
  local number = numbers[v]
  if not number then
    count = count + 1
    number = format('%s: 0x%012x', kind, count)
    numbers[v] = number
  end
  return number
end

local function sequence(t, what, level)
  if type(t) ~= 'table' then
    error("bad argument #1 to '" .. what .. "' (table expected, got " .. (t == nil and 'no value' or type_(t)) .. ')', level)
  end
  t = contents[t] or t
  local keys, kind = keysof(t)
  if not keys then
    error('nexus: going through a table with a key of type ' .. kind .. ' cannot be replicated: the order would be that of addresses', level)
  end
  steps = steps + #keys / 4
  return t, keys
end

local function pairs_(t)
  local source, keys = sequence(t, 'pairs', 3)
  local i = 0
  return function()
    while true do
      i = i + 1
      local k = keys[i]
      if k == nil then return nil end
      local v = rawget(source, k)
      if v ~= nil then return k, v end
    end
  end, t, nil
end

local function next_(t, k)
  return next((sequence(t, 'next', 3)), k)
end

local function foreach(t, f)
  for k, v in pairs_(t) do
    local r = f(k, v)
    if r ~= nil then return r end
  end
end

-- A metatable is copied, so that nobody makes the table weak afterwards: what a weak table holds depends on when the
-- server collects garbage.
local original = {}

local function setmetatable_(t, meta)
  if type(t) ~= 'table' or type(meta) ~= 'table' then return setmetatable(t, meta) end
  if contents[t] then error('Attempt to modify a readonly table', 0) end
  local copy = {}
  for k, v in next, meta do copy[k] = v end
  if copy.__mode ~= nil then error('nexus: a weak table cannot be replicated: what it holds depends on the memory of the server', 2) end
  if copy.__concat ~= nil then
    copy.__concat = function(a, b)
      if b == joined then b, joining = joining, nil end
      return meta.__concat(a, b)
    end
  end
  original[copy] = meta
  return setmetatable(t, copy)
end

local globalmeta -- what scripts get for the metatable of _G

local function getmetatable_(t)
  if t ~= nil and t == api._G then return globalmeta end
  if type(t) ~= 'table' or contents[t] then return nil end
  local meta = getmetatable(t)
  if meta == nil then return nil end
  return original[meta] or meta
end

local function rawget_(t, k)
  if t ~= nil and contents[t] then return contents[t][k] end
  return rawget(t, k)
end

local function rawset_(t, k, v)
  if t ~= nil and contents[t] then error('Attempt to modify a readonly table', 0) end
  return rawset(t, k, v)
end

-- What an encoder goes through, it goes through in the order of the table.
local function checktree(v, seen)
  if type(v) ~= 'table' or seen[v] then return end
  seen[v] = true
  for k, x in next, v do
    local kind = type(k)
    if kind ~= 'string' and kind ~= 'number' then sequence(v, 'pack', 4) end
    if type(x) == 'table' then checktree(x, seen) end
  end
end
