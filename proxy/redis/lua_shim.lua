-- Runs the Lua statement in ARGV[1] so that it does the same on every replica.
--
-- The statement sees only what is handed to it here: its first line is prefixed with locals that hide every global
-- of the server that could tell one replica from another (a clock, chance, an address, the order of a hash table, the
-- locale, settings that outlive a script). This text is the same for every statement, so that a backend compiles and
-- keeps it once; the statement itself is compiled, run and forgotten.
--
-- lua.go removes lines that begin with a comment and joins the rest: no comment may follow code on its line.

local call, pcall_, lower, byte, match = redis.call, redis.pcall, string.lower, string.byte, string.match
local type, next, select, error, tostring, rawget = type, next, select, error, tostring, rawget
local setmetatable, getmetatable, sort = setmetatable, getmetatable, table.sort

local function refuse(what, why)
  error({err = 'ERR nexus: ' .. (what == '' and 'this command' or what) .. ' cannot be used in a replicated script: ' .. why})
end

local function refuser(what, why)
  return function() refuse(what, why) end
end

-- Strings by their bytes: the < of Lua asks the locale of the server.
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

-- Commands that do the same wherever they run, given the same data, and whose reply has a defined order.
local plain = {
  append=1, bitcount=1, bitfield=1, bitfield_ro=1, bitop=1, bitpos=1, dbsize=1, decr=1, decrby=1, del=1, echo=1,
  exists=1, geoadd=1, geodist=1, geohash=1, geopos=1, georadius=1, georadius_ro=1, georadiusbymember=1,
  georadiusbymember_ro=1, geosearch=1, geosearchstore=1, get=1, getbit=1, getdel=1, getrange=1, getset=1, hdel=1,
  hexists=1, hget=1, hincrby=1, hincrbyfloat=1, hlen=1, hmget=1, hmset=1, hset=1, hsetnx=1, hstrlen=1, incr=1,
  incrby=1, incrbyfloat=1, lcs=1, lindex=1, linsert=1, llen=1, lmove=1, lmpop=1, lpop=1, lpos=1, lpush=1, lpushx=1,
  lrange=1, lrem=1, lset=1, ltrim=1, mget=1, mset=1, msetnx=1, persist=1, pfadd=1, pfcount=1, pfmerge=1, ping=1,
  rpop=1, rpoplpush=1, rpush=1, rpushx=1, sadd=1, scard=1, sdiffstore=1, setbit=1, setnx=1, setrange=1,
  sintercard=1, sinterstore=1, sismember=1, smismember=1, smove=1, srem=1, strlen=1, substr=1, sunionstore=1,
  touch=1, type=1, unlink=1, xack=1, xdel=1, xlen=1, xrange=1, xrevrange=1, xsetid=1, zadd=1, zcard=1, zcount=1,
  zdiff=1, zdiffstore=1, zincrby=1, zinter=1, zintercard=1, zinterstore=1, zlexcount=1, zmpop=1, zmscore=1,
  zpopmax=1, zpopmin=1, zrange=1, zrangebylex=1, zrangebyscore=1, zrangestore=1, zrank=1, zrem=1,
  zremrangebylex=1, zremrangebyrank=1, zremrangebyscore=1, zrevrange=1, zrevrangebylex=1, zrevrangebyscore=1,
  zrevrank=1, zscore=1, zunion=1, zunionstore=1
}

-- Commands whose reply has the order of a hash table, which is another on every server.
local unordered = {keys=1, smembers=1, sunion=1, sinter=1, sdiff=1, hkeys=1}

local chance = 'it chooses at random'
local clock = 'it reads the clock of the server'
local expiry = 'deadlines are events of the log, which a script cannot set or read'
local moves = 'it may carry a deadline to another key'
local here = 'its answer differs from one replica to another'
local database = 'a statement stays in the database it was given'
local collation = 'its order depends on the locale of the server or on a hash table; use table.sort'
local reasons = {
  spop=chance, srandmember=chance, hrandfield=chance, zrandmember=chance, randomkey=chance,
  time=clock, xreadgroup=clock, xclaim=clock, xautoclaim=clock, xpending=clock, lastsave=clock,
  expire=expiry, pexpire=expiry, expireat=expiry, pexpireat=expiry, setex=expiry, psetex=expiry, getex=expiry,
  ttl=expiry, pttl=expiry, expiretime=expiry, pexpiretime=expiry,
  rename=moves, renamenx=moves, copy=moves, move=moves, restore=moves,
  scan=here, sscan=here, hscan=here, zscan=here, dump=here, object=here, memory=here, xinfo=here, info=here,
  client=here, config=here, command=here, role=here, wait=here,
  select=database, swapdb=database, flushall=database, flushdb=database,
  sort=collation, sort_ro=collation,
  publish='messages are not data', spublish='messages are not data'
}

-- Redis reads an option up to the first NUL byte. What is no option by its type, Redis refuses itself.
local function option(arg)
  local kind = type(arg)
  if kind ~= 'string' and kind ~= 'number' then return '' end
  return lower(match(tostring(arg), '^[^%z]*'))
end

local setoptions = {nx=1, xx=1, get=1, keepttl=1}

local function checkset(...)
  for i = 4, select('#', ...) do
    local o = option((select(i, ...)))
    if o == 'ex' or o == 'px' or o == 'exat' or o == 'pxat' then refuse('SET with an expiry', expiry) end
    if o ~= '' and not setoptions[o] then refuse('SET with option ' .. o, 'it is not known') end
  end
end

local function checkxadd(...)
  local i, n = 3, select('#', ...)
  while i <= n do
    local o = option((select(i, ...)))
    if o == 'nomkstream' then
      i = i + 1
    elseif o == 'maxlen' or o == 'minid' then
      local how = option((select(i + 1, ...)))
      if how == '~' then refuse('XADD with ~', 'what is trimmed differs from one replica to another') end
      i = i + 2
      if how == '=' then i = i + 1 end
    elseif o == '' or match(o, '^%d+$') or match(o, '^%d+%-%d+$') then
      return
    else
      refuse('XADD without an explicit id', clock)
    end
  end
end

local function checkxtrim(...)
  for i = 3, select('#', ...) do
    if option((select(i, ...))) == '~' then
      refuse('XTRIM with ~', 'what is trimmed differs from one replica to another')
    end
  end
end

local function checkxread(...)
  for i = 2, select('#', ...) do
    local o = option((select(i, ...)))
    if o == 'streams' then return end
    if o == 'block' then refuse('XREAD with BLOCK', 'a script cannot wait') end
  end
end

local groupcommands = {create=1, setid=1, destroy=1, delconsumer=1}

local function checkxgroup(...)
  local sub = option((select(2, ...)))
  if not groupcommands[sub] then refuse('XGROUP ' .. sub, clock) end
end

local checked = {set=checkset, xadd=checkxadd, xtrim=checkxtrim, xread=checkxread, xgroup=checkxgroup}

local function failed(reply)
  return type(reply) ~= 'table' or reply.err
end

-- Field and value pairs by field.
local function sortpairs(flat)
  local fields, values = {}, {}
  for i = 1, #flat, 2 do
    fields[#fields + 1] = flat[i]
    values[flat[i]] = flat[i + 1]
  end
  sort(fields, before)
  return fields, values
end

local function run(f, ...)
  local name = (...)
  if type(name) ~= 'string' then return f(...) end
  local cmd = lower(name)
  if plain[cmd] then return f(...) end
  local check = checked[cmd]
  if check then
    check(...)
    return f(...)
  end
  if unordered[cmd] then
    local reply = f(...)
    if not failed(reply) then sort(reply, before) end
    return reply
  end
  if cmd == 'hgetall' or cmd == 'hvals' then
    local reply = f('hgetall', select(2, ...))
    if failed(reply) then return reply end
    local fields, values = sortpairs(reply)
    local out = {}
    for i = 1, #fields do
      if cmd == 'hgetall' then out[#out + 1] = fields[i] end
      out[#out + 1] = values[fields[i]]
    end
    return out
  end
  refuse(match(cmd, '^[%w_]*'):upper(), reasons[cmd] or 'it is not known to do the same on every replica')
end

-- redis.pcall gives back what redis.call would raise.
local try = pcall
local function protected(...)
  local ok, reply = try(run, pcall_, ...)
  if ok or type(reply) == 'table' then return reply end
  return {err = tostring(reply)}
end

-- The keys of a table, in an order that does not depend on addresses; an error where there is none.
local function keysof(t)
  local keys, n = {}, 0
  for k in next, t do
    local kind = type(k)
    if kind ~= 'string' and kind ~= 'number' and kind ~= 'boolean' then
      refuse('going through a table with a key of type ' .. kind, 'the order would be that of addresses')
    end
    n = n + 1
    keys[n] = k
  end
  return keys
end

local function pairs_(t)
  if type(t) ~= 'table' then error("bad argument #1 to 'pairs' (table expected, got " .. type(t) .. ')', 2) end
  local keys, i = keysof(t), 0
  return function()
    while true do
      i = i + 1
      local k = keys[i]
      if k == nil then return nil end
      local v = rawget(t, k)
      if v ~= nil then return k, v end
    end
  end, t, nil
end

local function next_(t, k)
  if k ~= nil then refuse('next with a key', 'the order would be that of addresses; use pairs') end
  local first, value = next(t)
  if first ~= nil then keysof(t) end
  return first, value
end

local function foreach(t, f)
  for k, v in pairs_(t) do
    local r = f(k, v)
    if r ~= nil then return r end
  end
end

-- What the encoders go through, they go through in table order.
local function checktree(v, seen)
  if type(v) ~= 'table' or seen[v] then return end
  seen[v] = true
  for _, k in next, keysof(v) do checktree(rawget(v, k), seen) end
end

local function checkedencoder(f)
  return function(...)
    for i = 1, select('#', ...) do checktree((select(i, ...)), {}) end
    return f(...)
  end
end

-- A metatable is copied, so that nobody makes the table weak afterwards: what a weak table holds depends on when the
-- server collects garbage.
local original = {}
local function setmetatable_(t, meta)
  if type(t) ~= 'table' or type(meta) ~= 'table' then return setmetatable(t, meta) end
  local copy = {}
  for k, v in next, meta do copy[k] = v end
  if copy.__mode ~= nil then refuse('a weak table', 'what it holds depends on the memory of the server') end
  original[copy] = meta
  return setmetatable(t, copy)
end

local function getmetatable_(t)
  if type(t) ~= 'table' then return nil end
  local meta = getmetatable(t)
  if meta == nil then return nil end
  return original[meta] or meta
end

-- Without the addresses.
local function tostring_(v)
  local kind = type(v)
  if kind == 'table' then
    local meta = getmetatable(v)
    if type(meta) == 'table' and rawget(meta, '__tostring') then return tostring(v) end
    return kind
  end
  if kind == 'function' or kind == 'thread' or kind == 'userdata' then return kind end
  return tostring(v)
end

local function less(a, b)
  if type(a) == 'string' and type(b) == 'string' then return before(a, b) end
  return a < b
end

local function copyof(t)
  local c = {}
  for k, v in next, t do c[k] = v end
  return c
end

local string_, table_, math_ = copyof(string), copyof(table), copyof(math)
string_.dump = nil
table_.foreach = foreach
table_.sort = function(t, f) return sort(t, f or less) end
math_.random = refuser('math.random', chance)
math_.randomseed = refuser('math.randomseed', chance)

local compile = refuser('loadstring', 'what it compiles would see what is hidden from this script')
local nothing = function() return 0 end

local redis_ = {
  call = function(...) return run(call, ...) end,
  pcall = protected,
  sha1hex = redis.sha1hex,
  error_reply = redis.error_reply,
  status_reply = redis.status_reply,
  log = redis.log,
  LOG_DEBUG = redis.LOG_DEBUG, LOG_VERBOSE = redis.LOG_VERBOSE,
  LOG_NOTICE = redis.LOG_NOTICE, LOG_WARNING = redis.LOG_WARNING,
  replicate_commands = function() return true end,
  setresp = refuser('redis.setresp', 'only RESP2 is spoken here'),
  set_repl = refuser('redis.set_repl', 'every write is replicated'),
  acl_check_cmd = refuser('redis.acl_check_cmd', here)
}

-- The settings of cjson outlive a script: its encoder and decoder are all there is.
local cjson_ = {encode = checkedencoder(cjson.encode), decode = cjson.decode, null = cjson.null}
local cmsgpack_ = {
  pack = checkedencoder(cmsgpack.pack), unpack = cmsgpack.unpack,
  unpack_one = cmsgpack.unpack_one, unpack_limit = cmsgpack.unpack_limit
}

local env = {
  redis = redis_, string = string_, table = table_, math = math_, cjson = cjson_, cmsgpack = cmsgpack_,
  bit = copyof(bit), struct = copyof(struct), coroutine = copyof(coroutine), KEYS = {}, ARGV = {},
  type = type, next = next_, select = select, error = error, tostring = tostring_, rawget = rawget, pairs = pairs_,
  setmetatable = setmetatable_, getmetatable = getmetatable_, assert = assert, ipairs = ipairs, pcall = try,
  xpcall = xpcall, rawequal = rawequal, rawset = rawset, tonumber = tonumber, unpack = unpack,
  load = compile, loadstring = compile, collectgarbage = nothing, gcinfo = nothing, _VERSION = _VERSION
}
env._G = env

local statement, problem = loadstring(
  'local redis, string, table, math, cjson, cmsgpack, bit, struct, coroutine, KEYS, ARGV, next, tostring, pairs, ' ..
  'setmetatable, getmetatable, load, loadstring, collectgarbage, gcinfo, _G, server, os, io, debug, package, ' ..
  'require, module, newproxy, getfenv, setfenv, print, dofile, loadfile, __redis__err__handler, ' ..
  '__redis__compare_helper = ...; ' .. ARGV[1], '@user_script')
if not statement then error({err = 'ERR Error compiling script: ' .. problem}) end
return statement(redis_, string_, table_, math_, cjson_, cmsgpack_, env.bit, env.struct, env.coroutine, env.KEYS,
  env.ARGV, next_, tostring_, pairs_, setmetatable_, getmetatable_, compile, compile, nothing, nothing, env)
