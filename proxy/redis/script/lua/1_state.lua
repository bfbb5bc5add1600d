-- What a run is given and remembers. Only functions are defined while the library is loaded; the server offers next to
-- nothing then, so everything that needs its globals waits for the first call (see prepare).

local native -- redis.pcall: answers errors instead of raising them
local lower, find, match, sub, byte, format, sort, concat, status
local type, tostring, tonumber, next, select, error, rawget, unpack, setmetatable, getmetatable, pcall, xpcall

local now      -- the leader's clock in milliseconds
local seed     -- the leader's choice
local seeded   -- math.random follows the seed
local db       -- the database selected
local logged   -- runs from the log, on every replica; otherwise it only reads, here
local nowrites -- the script declared that it does not write
local trying   -- runs to find out whether it writes: then it has to run from the log instead
local wants    -- it does
local steps    -- taken so far
local limit    -- of steps, and what is said at its end
local verdict
local machine  -- an error that comes from the state of a server, not from its data
local ran      -- since the last look at the deadlines
local running  -- the code of a client; still set afterwards if the server has cut it off

-- Keys that got a deadline, with the database before each.
local touched, ntouched = {}, 0

-- Of the commands, which see to the rest in a block of their own: Lua allows only so many local variables at a time.
local class, writing = {}, {} -- how a command runs, and whether it writes
local classify, unknown, fieldsof, refilled, math_random, math_randomseed, random, randomseed
local rights, parserights, denied -- what the user may do; nil if that is everything
local databases, reserved = $databases, $reserved

-- Of what is counted: see 3a_counting.lua.
local unit = 32    -- bytes that count as one step
local methods = {} -- functions of strings by name: what finds them for an object
local joining      -- what stands behind a .., until what stands before it is known
local joined       -- what the two become meanwhile
local size, spend, outcomes, costing, payingafter, counterror, searches, weigh, countstrings, counttables, countoperators, argued

local shift = 2 ^ 40
local largest = 2 ^ 63 - 1
local exact = 2 ^ 52 -- a later deadline is no different to anybody, and a number holds only so many digits

local function fail(text) return {err = 'ERR ' .. text} end

local function refuse(name, why)
  return fail("nexus: '" .. name .. "' cannot be used in a replicated script: " .. why)
end

-- A script that does not end would stop every replica. What counts is the same everywhere, so all stop at the same step.
local function step()
  steps = steps + 1
  if steps > limit then error(verdict, 2) end
end

-- A step with what it makes besides: w in all, and ... if it may be put into tables.
local function stepof(w, ...)
  steps = steps + w + select('#', ...) / 4
  if steps > limit then error(verdict, 2) end
end

local function touch(key, where)
  if not logged then return end
  touched[ntouched + 1], touched[ntouched + 2] = where or db, key
  ntouched = ntouched + 2
end

-- Strings by their bytes: the < of Lua asks the locale of the server, which may also take two strings for equal.
local function before(a, b)
  if a == b then return false end
  local i = 1
  while true do
    local a1, a2, a3, a4 = byte(a, i, i + 3)
    local b1, b2, b3, b4 = byte(b, i, i + 3)
    if a1 ~= b1 then return (a1 or -1) < (b1 or -1) end
    if a2 ~= b2 then return (a2 or -1) < (b2 or -1) end
    if a3 ~= b3 then return (a3 or -1) < (b3 or -1) end
    if a4 ~= b4 then return (a4 or -1) < (b4 or -1) end
    i = i + 4
  end
end

local bytewise -- whether the locale of the server compares bytes

local function ordered(list)
  if bytewise then sort(list) else sort(list, before) end
  return list
end

-- The keys of a table in an order that does not depend on addresses, or nil and the type of key that has none.
local function keysof(t)
  local keys, n = {}, 0
  for k in next, t do
    local kind = type(k)
    if kind ~= 'string' and kind ~= 'number' and kind ~= 'boolean' then return nil, kind end
    n = n + 1
    keys[n] = k
  end
  return keys
end
