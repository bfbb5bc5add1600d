-- Libraries of functions: their code by name in the database that clients cannot reach, and here what was compiled.
--
-- A library is loaded anew for every call. What its functions keep in local variables would otherwise depend on when a
-- server was started.

local codes = '$functions'

local function named(name) return type(name) == 'string' and find(name, '^[%w_]+$') end

-- The arguments of redis.register_function as a function, or nil and the error.
local function registration(...)
  local n = select('#', ...)
  if n < 1 or n > 2 then return nil, 'wrong number of arguments to redis.register_function' end
  local name, callback = ...
  if n == 2 then
    if type(name) == 'number' then name = tostring(name) end
    if type(name) ~= 'string' then return nil, 'first argument to redis.register_function must be a string' end
    if type(callback) ~= 'function' then return nil, 'second argument to redis.register_function must be a function' end
    return {name = name, callback = callback, flags = {}}
  end
  if type(name) ~= 'table' then
    return nil, 'calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).'
  end
  local keys, out = keysof(name), {flags = {}}
  if not keys then return nil, 'named argument key given to redis.register_function is not a string' end
  sort(keys, function(a, b) return before(tostring(a), tostring(b)) end)
  for _, k in ipairs(keys) do
    local v = name[k]
    if type(k) == 'boolean' then return nil, 'named argument key given to redis.register_function is not a string' end
    local word = lower(tostring(k))
    if word == 'function_name' then
      if type(v) ~= 'string' and type(v) ~= 'number' then return nil, 'function_name argument given to redis.register_function must be a string' end
      out.name = tostring(v)
    elseif word == 'description' then
      if type(v) ~= 'string' and type(v) ~= 'number' then return nil, 'description argument given to redis.register_function must be a string' end
      out.description = tostring(v)
    elseif word == 'callback' then
      if type(v) ~= 'function' then return nil, 'callback argument given to redis.register_function must be a function' end
      out.callback = v
    elseif word == 'flags' then
      if type(v) ~= 'table' then return nil, 'flags argument to redis.register_function must be a table representing function flags' end
      for _, flag in ipairs(v) do
        local f = type(flag) == 'string' and lower(flag)
        if not f or not declared[f] then return nil, 'unknown flag given' end
        out.flags[f] = true
      end
    else
      return nil, 'unknown argument given to redis.register_function'
    end
  end
  if not out.name then return nil, 'redis.register_function must get a function name argument' end
  if not out.callback then return nil, 'redis.register_function must get a callback argument' end
  return out
end

local function register(...)
  if not registered then error(fail('redis.register_function can only be called on FUNCTION LOAD command')) end
  local f, err = registration(...)
  if not f then error(fail(err)) end
  if not named(f.name) then
    error(fail('Library names can only contain letters, numbers, or underscores(_) and must be at least one character long'))
  end
  if registered[f.name] then error(fail('Function already exists in the library')) end
  registered[f.name] = f
end

-- What redis offers while a library is loaded.
function loading(_, k)
  if k == 'register_function' then return register end
  local fields = redismeta.fields
  if k == 'log' or find(k, '^LOG_') or find(k, '^REDIS_VERSION') then return fields[k] end
  error("Script attempted to access nonexistent global variable '" .. tostring(k) .. "'", 2)
end

-- The functions that a library registers, or nil and the error.
local function instantiate(entry)
  local outer, said = limit, verdict
  allow(math.min($steps / 20, limit - steps), 'FUNCTION LOAD timeout')
  registered = {}
  redismeta.__index = loading
  local ok, err = pcall(entry.call)
  redismeta.__index = redismeta.fields
  limit, verdict = outer, said
  local out = registered
  registered = nil
  if ok then return out end
  if type(err) == 'table' then err = err.err or 'ERR' end
  err = tostring(err)
  if not find(err, '^ERR ') then err = 'ERR ' .. err end
  return nil, fail('Error registering functions: ' .. err)
end

-- A library as it is listed, or nil and the error.
local function library(name, code)
  local line = find(code, '\n', 1, true) or 1
  local entry, err = compile(sub(code, line), '@user_function')
  if not entry then return nil, fail('Error compiling function: ' .. err) end
  local functions
  functions, err = instantiate(entry)
  if not functions then return nil, err end
  if next(functions) == nil then return nil, fail('No functions registered') end
  local names = {}
  for k in next, functions do names[#names + 1] = k end
  return {name = name, code = code, entry = entry, functions = functions, names = ordered(names)}
end

local function link(all, lib)
  all.libraries[lib.name] = lib
  for _, f in ipairs(lib.names) do all.owners[lower(f)] = lib end
end

local function unlink(all, lib)
  all.libraries[lib.name] = nil
  for _, f in ipairs(lib.names) do all.owners[lower(f)] = nil end
end

local all -- libraries by name, and by the names of their functions in lower case; nil until they were read

local function copyof(from)
  local to = {libraries = {}, owners = {}}
  for k, v in next, from.libraries do to.libraries[k] = v end
  for k, v in next, from.owners do to.owners[k] = v end
  return to
end

local function readlibraries()
  if all then return end
  local fresh = {libraries = {}, owners = {}}
  native('select', reserved)
  local names, values = fieldsof(codes)
  native('select', db)
  for _, name in ipairs(names or {}) do
    local lib = library(name, values[name])
    if lib then link(fresh, lib) end
  end
  all = fresh
  -- Whether a server had compiled them already must make no difference to the run.
  steps, seeded, numbers, count, original = 0, false, {}, 0, {}
end

-- Adds a library to a set of them, or returns the error.
local function add(to, name, code, replace)
  local old = to.libraries[name]
  if old and not replace then return fail("Library '" .. name .. "' already exists") end
  local lib, err = library(name, code)
  if not lib then return err end
  if old then unlink(to, old) end
  for _, f in ipairs(lib.names) do
    if to.owners[lower(f)] then
      if old then link(to, old) end
      return fail('Function ' .. f .. ' already exists')
    end
  end
  link(to, lib)
end

local function keepall(to)
  native('select', reserved)
  for name in next, all.libraries do
    if not to.libraries[name] then native('hdel', codes, name) end
  end
  for name, lib in next, to.libraries do
    if all.libraries[name] ~= lib then native('hset', codes, name, lib.code) end
  end
  native('select', db)
  all = to
end

local function functionload(keys, args)
  local code = begin(args, true)
  readlibraries()
  local to = copyof(all)
  local err = add(to, args[1], code, args[2] == 'replace')
  if err then return err end
  keepall(to)
  return args[1]
end

local function functiondelete(keys, args)
  local name = begin(args, true)
  readlibraries()
  if not all.libraries[name] then return fail('Library not found') end
  local to = copyof(all)
  unlink(to, to.libraries[name])
  keepall(to)
  return {ok = 'OK'}
end

local function functionflush(keys, args)
  begin(args, true)
  readlibraries()
  keepall({libraries = {}, owners = {}})
  return {ok = 'OK'}
end

-- Names and codes by turns, and what becomes of the libraries that are there.
local function functionrestore(keys, args)
  local policy = begin(args, true)
  readlibraries()
  local new = {libraries = {}, owners = {}}
  for i = 1, #args, 2 do
    local err = add(new, args[i], args[i + 1], false)
    if err then return err end
  end
  if policy ~= 'flush' then
    local to = copyof(all)
    for name in next, new.libraries do
      if to.libraries[name] then
        if policy ~= 'replace' then return fail('Library ' .. name .. ' already exists') end
        unlink(to, to.libraries[name])
      end
    end
    for name, lib in next, new.libraries do
      for _, f in ipairs(lib.names) do
        if to.owners[lower(f)] then return fail('Function ' .. f .. ' already exists') end
      end
    end
    for _, lib in next, new.libraries do link(to, lib) end
    new = to
  end
  keepall(new)
  return {ok = 'OK'}
end

local flagorder = {'no-writes', 'allow-oom', 'allow-stale', 'no-cluster', 'allow-cross-slot-keys'}

-- Name, code and functions of each library; of a function its name, description and flags.
local function functionlist(keys, args)
  begin(args, false)
  readlibraries()
  local out, names = {}, {}
  for name in next, all.libraries do names[#names + 1] = name end
  for _, name in ipairs(ordered(names)) do
    local lib, list = all.libraries[name], {}
    for _, f in ipairs(lib.names) do
      local about, flags = lib.functions[f], {}
      for _, flag in ipairs(flagorder) do
        if about.flags[flag] then flags[#flags + 1] = flag end
      end
      list[#list + 1] = {about.name, about.description or false, flags}
    end
    out[#out + 1] = {name, lib.code, list}
  end
  return out
end

local function fcall(log, try)
  return function(keys, args)
    local name = begin(args, log, try)
    name = lower(name)
    readlibraries()
    local lib = all.owners[name]
    if not lib then return fail('Function not found') end
    local functions, err = instantiate(lib.entry)
    if not functions then return err end
    for k, f in next, functions do
      if lower(k) == name then
        if not log and not try and not f.flags['no-writes'] then return fail(readonly) end
        nowrites = f.flags['no-writes']
        return run(f.callback, lib.entry.large, keys, args, f.name, 'user_function')
      end
    end
    return fail('Function not found')
  end
end

-- The deadlines of the keys that the last run touched: database, key and what PEXPIRETIME says, by turns. It is asked
-- after every run from the log, and tells of those that did not go here as they go elsewhere.
local function deadlines()
  unkillable()
  if not ran then return fail('nexus: the server has not run a script') end
  ran = false
  if running then return fail('nexus: the server was told to kill a script') end
  if machine then return fail('nexus: a command of a script failed for a reason of the server: ' .. machine) end
  if ntouched == 0 then return {} end
  local out, selected = {}, nil
  for i = 1, ntouched, 2 do
    if touched[i] ~= selected then
      selected = touched[i]
      native('select', selected)
    end
    out[#out + 1] = selected
    out[#out + 1] = touched[i + 1]
    out[#out + 1] = native('pexpiretime', touched[i + 1])
  end
  touched, ntouched = {}, 0
  return out
end

-- A run that the server has cut off may have left anything half done, on this replica alone. It is all made anew from what
-- the database holds.
local underway

local function whole(run)
  return function(keys, args)
    if underway then thread, all, scripts, held, registered = nil, nil, {}, 0, nil end
    underway = true
    local result = run(keys, args)
    underway = false
    return result
  end
end

local function replicated(name, callback)
  redis.register_function('$prefix_' .. name, whole(callback))
end

replicated('eval', eval(true, 'passing'))
replicated('evalsha', evalsha(true))
replicated('once', once(true))
replicated('fcall', fcall(true))
replicated('script_load', scriptload('staying'))
replicated('script_pass', scriptload('passing'))
replicated('script_flush', scriptflush)
replicated('function_load', functionload)
replicated('function_delete', functiondelete)
replicated('function_flush', functionflush)
replicated('function_restore', functionrestore)

local function reading(name, callback)
  redis.register_function({function_name = '$prefix_' .. name, callback = whole(callback), flags = {'no-writes'}})
end

reading('eval_ro', eval(false, nil))
reading('evalsha_ro', evalsha(false))
reading('eval_try', eval(false, nil, true))
reading('evalsha_try', evalsha(false, true))
reading('fcall_try', fcall(false, true))
reading('once_ro', once(false))
reading('fcall_ro', fcall(false))
reading('script_exists', scriptexists)
reading('function_list', functionlist)
reading('ready', function() return 1 end)
redis.register_function({function_name = '$prefix_deadlines_unkillable', callback = deadlines, flags = {'allow-oom'}})
-- For nodes of older versions, which ask so.
redis.register_function({function_name = '$prefix_deadlines', callback = deadlines, flags = {'no-writes'}})
