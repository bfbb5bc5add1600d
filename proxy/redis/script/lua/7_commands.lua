-- Which command runs how.

-- Commands that do the same wherever they run, given the same data, and whose reply has a defined order.
local reads = 'bitcount bitfield_ro bitpos dbsize echo exists geodist geohash geopos georadius_ro georadiusbymember_ro ' ..
  'geosearch get getbit getrange hexists hget hlen hmget hstrlen lcs lindex llen lpos lrange mget ping scard sintercard ' ..
  'sismember smismember strlen substr touch type xlen xrange xread xrevrange zcard zcount zdiff zinter zintercard ' ..
  'zlexcount zmscore zrange zrangebylex zrangebyscore zrank zrevrange zrevrangebylex zrevrangebyscore zrevrank zscore ' ..
  'zunion asking readonly readwrite'
local writes = 'append bitfield bitop decr decrby del flushdb geoadd georadius georadiusbymember geosearchstore getdel ' ..
  'getset hdel hincrby hincrbyfloat hmset hset hsetnx incr incrby incrbyfloat linsert lmove lmpop lpop lpush lpushx lrem ' ..
  'lset ltrim mset msetnx persist pfadd pfcount pfmerge rpop rpoplpush rpush rpushx sadd sdiffstore setbit setnx ' ..
  'setrange sinterstore smove srem sunionstore unlink xack xdel xgroup xsetid zadd zdiffstore zincrby zinterstore zmpop ' ..
  'zpopmax zpopmin zrangestore zrem zremrangebylex zremrangebyrank zremrangebyscore zunionstore'
-- These write too, behind a function below.
local alsowrites = 'copy expire expireat flushall getex migrate move pexpire pexpireat psetex rename renamenx restore set ' ..
  'setex sort spop swapdb xadd xautoclaim xclaim xreadgroup xtrim publish spublish'

local function refusal(why)
  return function(...)
    if not logged then return native(...) end
    return refuse(lower((...)), why)
  end
end

local function never(why)
  return function(...) return refuse(lower((...)), why) end
end

local function time(...)
  if select('#', ...) ~= 1 then return native(...) end
  local ms = now % 1000
  return {format('%.0f', (now - ms) / 1000), format('%.0f', ms * 1000)}
end

-- Among equal weights, elements of a set come in the order of a hash table; so do those that the locale takes for equal.
local function sorting(...)
  local a, n = strings(...)
  if not logged or not a or n < 2 then return native(...) end
  local alpha, by = false, false
  for i = 3, n do
    local o = option(a[i])
    alpha, by = alpha or o == 'alpha', by or o == 'by'
  end
  if alpha and (by or not bytewise) then
    local kind = native('type', a[2])
    if type(kind) == 'table' and kind.ok == 'set' then
      return refuse(lower(a[1]), 'the order of equal elements is that of a hash table; use table.sort')
    end
  end
  return native(...)
end

-- How many subscribers a replica has is its own affair.
local function publish(...)
  local r = native(...)
  if type(r) == 'number' and logged then return 0 end
  return r
end

-- The server compares names up to the first NUL byte, but finds them by a hash of all of it, with a seed of its own: what is
-- behind such a name is a matter of luck.
local function nosuch() return fail('Unknown Redis command called from script') end

local function xgroup(...)
  local _, what = ...
  if type(what) == 'string' and find(what, '%z') then return nosuch() end
  return native(...)
end

-- A command that is not known here. The server says if it has none of that name, or none for scripts.
function unknown(...)
  local a, n = strings(...)
  if not a or n == 0 then return native(...) end
  if find(a[1], '%z') then return nosuch() end
  local name = lower(a[1])
  if n > 1 and not find(a[2], '%z') then
    local r = native('command', 'info', name .. '|' .. lower(a[2]))
    if type(r) == 'table' and r[1] then name = name .. '|' .. lower(a[2]) end
  end
  local r = native('command', 'info', name)
  if type(r) ~= 'table' or not r[1] then return native(...) end
  local flags = r[1][3].set or r[1][3]
  for k, v in next, flags do
    local flag = type(v) == 'table' and v.ok or k
    if flag == 'noscript' then return native(...) end
  end
  if not logged then return native(...) end
  return refuse(name, 'it is not known to do the same on every replica')
end

function classify()
  local here = 'its answer differs from one replica to another'
  local function each(list, how)
    for name in string.gmatch(list, '%S+') do
      class[name], class[string.upper(name)] = how, how
    end
  end
  each(reads, native)
  each(writes, native)
  for _, list in ipairs({writes, alsowrites}) do
    for name in string.gmatch(list, '%S+') do writing[name], writing[string.upper(name)] = true, true end
  end
  each('keys smembers sunion sinter sdiff hkeys', unordered)
  each('hgetall hvals', hgetall)
  each('expire pexpire expireat pexpireat', expire)
  each('ttl pttl expiretime pexpiretime', ttl)
  each('set', set)
  each('getex', getex)
  each('setex psetex', setex)
  each('restore', restore)
  each('rename renamenx', rename)
  each('copy', copy)
  each('move', move)
  each('select', choose)
  each('flushall', flushall)
  each('swapdb', never('the keys with deadlines would be looked for in the wrong database'))
  each('migrate', never('it talks to another server'))
  each('time', time)
  each('spop', spop)
  each('srandmember', srandmember)
  each('hrandfield', paired('withvalues', fieldsof))
  each('zrandmember', paired('withscores', scoresof))
  each('randomkey', randomkey)
  each('scan', scanner(2, 1))
  each('sscan', scanner(3, 1))
  each('hscan zscan', scanner(3, 2))
  each('sort sort_ro', sorting)
  each('xadd', xadd)
  each('xgroup', xgroup)
  each('xtrim', xtrim)
  each('xreadgroup', xreadgroup)
  each('xclaim', xclaim)
  each('xautoclaim', xautoclaim)
  each('xpending', xpending)
  each('publish spublish', publish)
  each('dump object memory xinfo info lastsave lolwut command', refusal(here))
end

end
