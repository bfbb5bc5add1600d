-- How a script is compiled and run.

local hidden = {} -- globals of the server that are nobody's business
local redismeta = {}
local registered -- functions of the library that is being loaded
local loading    -- what redis is then: see a_libraries.lua

-- Names that the server offers to libraries and to scripts.
local offered, offeredscripts = {}, {KEYS = true, ARGV = true}

local order = {[counted] = 1, KEYS = 2, ARGV = 3}

-- Compiles code behind the names that it uses. Returns what run needs, or nil and the error. With inner, the code becomes
-- a function that has arguments of its own.
local function compile(code, chunk, inner)
  local library = chunk == '@user_function'
  local text, names = nil, nil
  if byte(code, 1) ~= 27 then text = operators(code) end
  if text then text, names = instrument(text, library, library and offered or offeredscripts) end
  if not text then
    local _, err = loadstring(code, chunk)
    return nil, err or 'nexus: the code cannot be read'
  end
  local list, values, n = {counted, 'KEYS', 'ARGV'}, {}, 0
  if library then list = {counted} end
  for name in next, names do
    if api[name] ~= nil or hidden[name] then
      if not order[name] then list[#list + 1] = name end
    end
  end
  sort(list, function(a, b)
    local x, y = order[a] or 4, order[b] or 4
    if x ~= y then return x < y end
    return before(a, b)
  end)
  for i = library and 2 or 4, #list do
    n = n + 1
    values[n] = api[list[i]]
  end
  local head = 'local ' .. concat(list, ',') .. '=...; '
  if inner then text = 'return function(...) ' .. text .. '\nend' end
  local f, err = loadstring(head .. text, chunk)
  if not f then
    -- As the script has it, so that the message is about the script.
    local _, plain = loadstring(code, chunk)
    return nil, plain or err
  end
  local large = names.unpack or names.loadstring or names.load or names._G
  if library then return {large = large, call = function() return f(step, unpack(values, 1, n)) end} end
  return {large = large, call = function(keys, args) return f(step, keys, args, unpack(values, 1, n)) end}
end

-- loadstring.
local function compiled(code, name)
  if type(code) ~= 'string' then error("bad argument #1 to 'loadstring' (string expected, got " .. type_(code) .. ')', 2) end
  spend(10 * #code, 3) -- reading a byte takes longer than a step
  local entry, err = compile(code, name or code, true)
  if not entry then return nil, err end
  return entry.call(api.KEYS, api.ARGV)
end

local function load_(f, name)
  if type(f) ~= 'function' then error("bad argument #1 to 'load' (function expected, got " .. type_(f) .. ')', 2) end
  local parts = {}
  while true do
    local part = f()
    if part == nil or part == '' then break end
    parts[#parts + 1] = part
  end
  return compiled(concat(parts), name or '=(load)')
end

local function without(t, gone)
  local out = {}
  for k, v in next, t do
    if not gone[k] then out[k] = v end
  end
  return out
end

-- Puts counted functions for encode and decode into fields.
local function coded(fields, coder)
  fields.encode = costing('encode', coder.encode, function(v) return weigh(v, 3000) end)
  fields.decode = costing('decode', coder.decode, function(text) return (size(text) or 0) / 4 end)
end

-- The settings of cjson outlive a script, so a script that changes them works on its own copy from then on.
local cjsonmeta, cjsonfields = {}, nil

local function settings()
  local fields = without(cjson, {new = true, null = true})
  for k, v in next, cjson do
    if string.find(k, '^encode_') or string.find(k, '^decode_') or k == 'new' then
      fields[k] = function(...)
        local own = cjson.new()
        local offer = without(own, {})
        coded(offer, own)
        cjsonmeta.__index = offer
        if k == 'new' then return offer end
        return own[k](...)
      end
    end
  end
  fields.null = cjson.null
  coded(fields, cjson)
  return fields
end

local function offer()
  local r = without(redis, {})
  r.call, r.pcall = call, exec
  r.replicate_commands = function() return true end
  r.sha1hex = function(...)
    steps = steps + (size((...)) or 0) / 16
    return redis.sha1hex(...)
  end
  r.breakpoint = function() return false end
  r.debug = function() end
  api.redis = shared(r, redismeta)
  redismeta.fields = r
  local s = without(string, {})
  for name, f in next, countstrings() do s[name] = f end
  s.dump = payingafter('dump', string.dump, function() return 1 end)
  api.string = shared(s)
  local t = without(table, {})
  for name, f in next, counttables() do t[name] = f end
  t.foreach = foreach
  api.table = shared(t)
  local m = without(math, {})
  m.random, m.randomseed = math_random, math_randomseed
  api.math = shared(m)
  cjsonfields = settings()
  api.cjson = shared(cjsonfields, cjsonmeta)
  local c = without(cmsgpack, {})
  c.pack = function(...)
    for i = 1, select('#', ...) do
      checktree((select(i, ...)), {})
      weigh((select(i, ...)), 20)
    end
    return cmsgpack.pack(...)
  end
  for _, name in ipairs({'unpack', 'unpack_one', 'unpack_limit'}) do
    c[name] = costing(name, cmsgpack[name], function(text) return size(text) or 0 end)
  end
  api.cmsgpack = shared(c)
  api.unpack = costing('unpack', unpack, function(list, i, j)
    local n = (tonumber(j) or type(list) == 'table' and #list or 0) - (tonumber(i) or 1)
    if n >= 8000 then return 0 end -- more than Lua's stack may hold: an error, at no cost
    return n / 4, type(list) == 'table' and i == nil and n < 1000
  end)
  local packer = without(struct, {})
  local function laidout(layout) return (size(layout) or 0) / 2 end
  packer.pack, packer.unpack = payingafter('pack', struct.pack, laidout), payingafter('unpack', struct.unpack, laidout)
  packer.size = costing('size', struct.size, laidout)
  api.struct = shared(packer)
  local threads = without(coroutine, {})
  for _, name in ipairs({'create', 'wrap'}) do
    threads[name] = costing(name, coroutine[name], function() return 40 end)
  end
  api.coroutine = shared(threads)
  api.pairs, api.next, api.type, api.tostring = pairs_, next_, type_, tostring_
  api.setmetatable, api.getmetatable, api.rawget, api.rawset = setmetatable_, getmetatable_, rawget_, rawset_
  api.loadstring, api.load, api.error = compiled, load_, counterror
  api.collectgarbage = function() return 0 end
  api.gcinfo = function() return 0 end
end

local safe = ' assert ipairs pcall xpcall rawequal select bit _VERSION '

-- _G with what a script may see.
local function globals()
  local g = {}
  for k in next, _G do
    if find(safe, ' ' .. k .. ' ', 1, true) then
      g[k] = _G[k]
    elseif api[k] == nil and k ~= '_G' then
      hidden[k] = true
    end
  end
  for k, v in next, api do g[k] = v end
  for k in next, g do offered[k], offeredscripts[k] = true, true end
  offered._G, offeredscripts._G = true, true
  local meta = {}
  meta.__index = function(_, k)
    if k == 'KEYS' or k == 'ARGV' then return api[k] end
    if g[k] ~= nil then return g[k] end
    if type(k) ~= 'string' and type(k) ~= 'number' then return nil end
    error("Script attempted to access nonexistent global variable '" .. k .. "'", 2)
  end
  api._G = shared(g, meta)
  globalmeta = shared({})
  g._G = api._G
end

-- What the reader of scripts has put into them: see instrument.
local function guards()
  countoperators()
  api[countedof] = stepof
  api[fixed] = function() error('Attempt to modify a readonly table', 2) end
  api[absent] = function(name) error("Script attempted to access nonexistent global variable '" .. name .. "'", 2) end
  api[registrar] = shared({}, {__index = loading})
end

-- redis.acl_check_cmd, which the server answers for the user of the node.
local function mayuser(...)
  return redis.acl_check_cmd(...) and not denied(...)
end

local ready = false

local function prepare()
  native = redis.pcall
  lower, find, match, sub, byte, format = string.lower, string.find, string.match, string.sub, string.byte, string.format
  sort, concat, status = table.sort, table.concat, coroutine.status
  type, tostring, tonumber, next, select, error = _G.type, _G.tostring, _G.tonumber, _G.next, _G.select, _G.error
  rawget, unpack, setmetatable, getmetatable = _G.rawget, _G.unpack, _G.setmetatable, _G.getmetatable
  pcall, xpcall = _G.pcall, _G.xpcall
  random, randomseed = math.random, math.randomseed
  bytewise = 'B' < 'a' and 'Z' < '_' and '_' < 'a' and '-' < '0' and not ('a' < 'B')
  call = setmetatable({}, callmeta)
  contents[call] = {}
  classify()
  offer()
  globals()
  guards()
  ready = true
end

-- How many steps a run may take from here on.
function allow(n, message) limit, verdict = steps + n, message end

-- The server kills no script that has written. What comes from the log must not be killed on one replica alone, so this is
-- the first that it does: the server looks for a kill only every some thousand steps.
local function unkillable() redis.pcall('hdel', '\0nexus', '') end

-- Takes what belongs to the run off the end of the arguments: what to run, the database, the time and the seed.
local function begin(args, log, try)
  if log then unkillable() end
  if not ready then prepare() end
  local n = #args
  local what = args[n - 3]
  local where = args[n - 2]
  db, now, seed = tonumber(where), tonumber(args[n - 1]), tonumber(args[n])
  rights = nil
  if not db then
    local number, text = match(where, '^(%d+)\n(.*)$')
    db, rights = tonumber(number), parserights(text)
  end
  redismeta.fields.acl_check_cmd = rights and mayuser or redis.acl_check_cmd
  args[n], args[n - 1], args[n - 2], args[n - 3] = nil, nil, nil, nil
  logged, nowrites, seeded, steps, machine = log, false, false, 0, nil
  trying, wants = try, false
  ran, running = true, false
  allow($steps, 'nexus: the script was stopped, it has run for too long or uses too much memory')
  if ntouched ~= 0 then touched, ntouched = {}, 0 end
  if count ~= 0 then numbers, count = {}, 0 end
  if next(original) ~= nil then original = {} end
  redismeta.__index = redismeta.fields
  cjsonmeta.__index = cjsonfields
  cleanup()
  return what
end

-- Where an error was raised: "user_script:3". Functions of the server have no lines, those of this library do not count.
local function position(message, chunk)
  for level = 4, 12 do
    local _, where = pcall(error, '', level)
    local source, line = match(where, '^(user_%w+):(%d+): $')
    if source == chunk and chunk == 'user_script' then return source, line end
    if source and source == chunk then
      -- Libraries have the chunk name of this one.
      local own, at = match(message, '^ERR (user_%w+):(%d+): ')
      if own == chunk then return own, at end
      return source, line
    end
  end
end

local current, currentkeys, currentargs, currentname, currentchunk

local function invoke()
  return current(currentkeys, currentargs)
end

-- What the server would answer to an error. It must not get to see one itself: it crashes on a table without a message.
local function explain(e)
  local message
  if type(e) == 'table' then
    message = e.err
    if type(message) == 'number' then message = tostring(message) end
    if type(message) ~= 'string' then message = 'ERR unknown error' end
  else
    message = 'ERR ' .. tostring_(e)
  end
  message = match(message, '^[^%z]*')
  local source, line = position(message, currentchunk)
  if source then message = message .. ' script: ' .. currentname .. ', on @' .. source .. ':' .. line .. '.' end
  return {err = message}
end

local function run(f, large, keys, args, name, chunk)
  renewed(large)
  api.KEYS, api.ARGV = keys, args
  current, currentkeys, currentargs, currentname, currentchunk = f, keys, args, name, chunk
  running = true
  local _, result = xpcall(invoke, explain)
  running = false
  if wants then return {ok = 'NEXUSWRITES'} end
  return result
end
