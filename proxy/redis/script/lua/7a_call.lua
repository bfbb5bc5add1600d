-- How a script calls a command.

local allow -- see 8_run.lua

local servers = {MISCONF = true, OOM = true, NOREPLICAS = true, READONLY = true, NOPERM = true, MASTERDOWN = true}

-- redis.pcall.
local function exec(...)
  local name = ...
  local how = class[name]
  if not how then
    local kind = type(name)
    if kind == 'string' then
      name = lower(name)
      how = class[name]
    end
    how = how or (name ~= nil and unknown or native)
  end
  if rights then
    local why = denied(...)
    if why then return fail(why) end
  end
  if nowrites and writing[name] then return fail('Write commands are not allowed from read-only scripts.') end
  -- The time is the leader's.
  if trying and (writing[name] or how == class.time or not class[name] and how ~= native) then
    wants = true
    allow(0, 'nexus: the script writes')
    return fail(verdict)
  end
  steps = steps + 10 + argued(...) / unit
  if steps > limit then return fail(verdict) end
  local r = how(...)
  local kind = type(r)
  if kind == 'table' then
    steps = steps + (type(r[1]) == 'table' and 8 or 2) * #r
    if type(r[2]) == 'table' then steps = steps + 2 * #r[2] end
  elseif kind == 'string' then
    steps = steps + #r / unit
  end
  if logged and type(r) == 'table' and r.err then
    if servers[match(r.err, '^%u+') or ''] or find(r.err, '^ERR The user executing the script') then machine = r.err end
  end
  return r
end

-- redis.call raises errors where the script called it: the server looks for the line behind a function that is not of
-- Lua. A coroutine that is called as a function is one. It ends with the error that it raises, hence a new one for the
-- next call, which is what the table around it is for.
local callmeta, thread = {}, nil

-- A coroutine takes some 7990 arguments. A script that may have more calls it through a function, which takes more itself.
local many, wide, serving = 7900, false, nil

local front = [[local exec, many, serving = ...
local select, type, error = select, type, error
return function(self, ...)
  if select('#', ...) < many then return serving()(self, ...) end
  local r = exec(...)
  if type(r) == 'table' and r.err then error(r) end
  return r
end]]

local prepared

local function answer(r)
  if type(r) == 'table' and r.err then
    local through = callmeta.__call == wide
    prepared()
    callmeta.__call = through and wide or serving
    error(r)
  end
  return r
end

function prepared()
  local yield = coroutine.yield
  local function serve(_, ...) return serve(yield(answer(exec(...)))) end
  local function loop()
    thread = coroutine.running()
    return serve(yield())
  end
  local w = coroutine.wrap(loop)
  w()
  serving = w
end

-- Makes redis.call ready for a run; with many arguments if large is set.
local function renewed(large)
  if wide == false then
    wide = loadstring(front, '@nexus')(exec, many, function() return serving end)
  end
  if not thread or status(thread) ~= 'suspended' then prepared() end
  callmeta.__call = large and wide or serving
end
