-- Scripts that would do something else on every server, separated by lines of dashes. They run one after the other on
-- data that the first ones leave.
for i = 1, 600 do redis.call('sadd', 's', 'm' .. i) redis.call('hset', 'h', 'f' .. i, i) redis.call('zadd', 'z', i % 7, 'm' .. i) redis.call('set', 'k:' .. i, i) end return redis.call('dbsize')
----
return redis.call('TIME')
----
return redis.pcall('tImE')
----
return _G.redis.call('TIME')
----
return rawget(_G, 'redis').call('TIME')
----
return loadstring('return redis')().call('TIME')
----
return _G.loadstring('return redis.call("time")')()
----
return load(function() return nil end)
----
local p = {'return redis', '.call("time")'} local i = 0 return load(function() i = i + 1 return p[i] end)()
----
return coroutine.wrap(function() return redis.call('TIME') end)()
----
return coroutine.wrap(loadstring)('return redis.call("time")')
----
return select(2, xpcall(function() return redis.call('time', 'x') end, function(e) return e.err or e end))
----
redis.call('set', 'now', redis.call('time')[1]) return redis.call('get', 'now')
----
return getfenv(1)
----
return setfenv(1, {})
----
return debug.getregistry()
----
return os.time()
----
return newproxy(true)
----
return print(1)
----
return server.call('TIME')
----
return getmetatable(_G)
----
return getmetatable('').__index.dump
----
return string.dump(function() end)
----
return loadstring(string.dump(function() return redis.call('time') end))
----
return ...
----
return select('#', ...)
----
local r = redis r.call = nil return r.call('TIME')
----
return redis.call('time\0x')
----
local r = {} for i = 1, 3000 do r[i] = redis.pcall('set\0' .. i, 'nul', i).err end return r
----
local r = {} for i = 1, 3000 do r[i] = redis.pcall('xgroup', 'create\0' .. i, 'nul', i, '$', 'mkstream').err end return r
----
local r = {} for i = 1, 3000 do r[i] = redis.pcall('config', 'get\0' .. i, 'nul').err end return r
----
return redis.call(' time')
----
return redis.call('get\0', 'a')
----
return redis.call(setmetatable({}, {__tostring = function() return 'time' end}))
----
return redis.call(7)
----
local t = {} for i = 1, 10 do t[i] = tostring(math.random()) end return t
----
math.randomseed(7) local t = {} for i = 1, 10 do t[i] = math.random(100) end return t
----
for i = 1, 20 do redis.call('rpush', 'random', math.random(1000000)) end return redis.call('lrange', 'random', 0, -1)
----
return redis.call('randomkey')
----
return {redis.call('srandmember', 's'), redis.call('srandmember', 's', 5), redis.call('srandmember', 's', -5), redis.call('srandmember', 's', 10000)}
----
return {redis.call('hrandfield', 'h'), redis.call('hrandfield', 'h', 5), redis.call('hrandfield', 'h', -5, 'withvalues')}
----
return {redis.call('zrandmember', 'z'), redis.call('zrandmember', 'z', 5), redis.call('zrandmember', 'z', -5, 'withscores')}
----
return {redis.call('spop', 's'), redis.call('spop', 's', 10), redis.call('scard', 's')}
----
redis.setresp(3) return {redis.call('spop', 's', 3), redis.call('hrandfield', 'h', 3, 'withvalues'), redis.call('zrandmember', 'z', 3, 'withscores')}
----
for _, k in ipairs(redis.call('smembers', 's')) do redis.call('rpush', 'order1', k) end return redis.call('llen', 'order1')
----
for _, k in ipairs(redis.call('hkeys', 'h')) do redis.call('rpush', 'order2', k) end
----
for _, k in ipairs(redis.call('hvals', 'h')) do redis.call('rpush', 'order3', k) end
----
for _, k in ipairs(redis.call('hgetall', 'h')) do redis.call('rpush', 'order4', k) end
----
for _, k in ipairs(redis.call('keys', 'k:*')) do redis.call('rpush', 'order5', k) end
----
for _, k in ipairs(redis.call('sunion', 's', 'none')) do redis.call('rpush', 'order6', k) end
----
for _, k in ipairs(redis.call('sdiff', 's', 'none')) do redis.call('rpush', 'order7', k) end
----
for _, k in ipairs(redis.call('sinter', 's', 's')) do redis.call('rpush', 'order8', k) end
----
redis.setresp(3) for k in pairs(redis.call('smembers', 's').set) do redis.call('rpush', 'order9', k) end
----
redis.setresp(3) for k, v in pairs(redis.call('hgetall', 'h').map) do redis.call('rpush', 'order10', k, v) end
----
redis.setresp(3) return {redis.call('hgetall', 'h'), redis.call('smembers', 's')}
----
local c, all = '0', {} repeat local r = redis.call('scan', c, 'match', 'k:*', 'count', 7) c = r[1] for _, k in ipairs(r[2]) do redis.call('rpush', 'order11', k) end until c == '0'
----
return {redis.call('sscan', 's', 0), redis.call('hscan', 'h', 0, 'match', 'f1*'), redis.call('zscan', 'z', 0), redis.call('sscan', 's', 5), redis.call('scan', 0, 'type', 'zset')}
----
return redis.call('sort', 's', 'by', 'nosort', 'limit', 0, 5)
----
return redis.call('sort', 's', 'by', 'k:*', 'alpha', 'store', 'sorted1')
----
return redis.call('sort', 's', 'by', 'none*', 'store', 'sorted2')
----
return redis.call('sort', 's', 'alpha', 'limit', 0, 9, 'store', 'sorted3')
----
return redis.call('sort', 's', 'by', 'none*', 'alpha')
----
return redis.call('sort_ro', 's', 'alpha')
----
return redis.call('dump', 's')
----
return redis.call('object', 'encoding', 's')
----
return redis.call('memory', 'usage', 's')
----
return redis.call('info')
----
return redis.call('xinfo', 'stream', 'none')
----
return redis.call('lastsave')
----
return redis.call('command', 'count')
----
return redis.call('publish', 'c', 'm')
----
return tostring({}) .. tostring(tostring) .. tostring(coroutine.create(function() end)) .. tostring(cjson.null)
----
local a, b = {}, {} redis.call('set', 'address', tostring(a) .. tostring(b) .. tostring(a)) return redis.call('get', 'address')
----
return string.format('%s', {})
----
return select(2, pcall(error, {}))
----
return select(2, pcall(redis.call, 'set', 'k', 'v', {}))
----
local t = {[{}] = 1, [{}] = 2, a = 3} for k, v in pairs(t) do redis.call('rpush', 'never', v) end
----
local t = {[{}] = 1, [tostring] = 2} return next(t)
----
local t = {a = 1, b = 2, [{}] = 3} local k = nil repeat k = next(t, k) until not k
----
local t = {a = 1} for k in pairs(t) do t[{}] = 1 t[function() end] = 2 redis.call('rpush', 'pairs', k) end
----
table.foreach({[{}] = 1}, function(k, v) redis.call('rpush', 'never', v) end)
----
local t = {} for i = 1, 100 do t['k' .. i] = i end for k, v in pairs(t) do redis.call('rpush', 'pairs', k, v) end
----
local t = {true, false, 1.5, 'x', [true] = 1, [false] = 2, [-1] = 3, [0.5] = 4, [1e300] = 5} for k, v in pairs(t) do redis.call('rpush', 'pairs', tostring(k)) end
----
return cmsgpack.pack({[{}] = 1, [{}] = 2})
----
local t = {} for i = 1, 100 do t['k' .. i] = i end redis.call('set', 'packed', cmsgpack.pack(t)) redis.call('set', 'encoded', cjson.encode(t))
----
return cjson.encode({[{}] = 1})
----
return setmetatable({}, {__mode = 'k'})
----
local m = {} local t = setmetatable({}, m) m.__mode = 'k' getmetatable(t).__mode = 'k' for i = 1, 100 do t[{}] = 1 end for i = 1, 1e5 do local x = {} end local n = 0 for _ in pairs({}) do n = n + 1 end return n
----
return {collectgarbage('count'), gcinfo()}
----
cjson.encode_max_depth(3) cjson.encode_sparse_array(true) return cjson.encode({{{1}}})
----
return cjson.encode({{{{{{1}}}}}})
----
return cjson.new().encode({1})
----
table.insert(redis, 'leak') table.insert(math, 'leak') return {redis[1] or 'none', math[1] or 'none'}
----
return {redis[1] or 'none', math[1] or 'none', #redis}
----
rawset(_G, 'leak', 1)
----
return _G.leak
----
string.leak = 1
----
bit.x = 1
----
KEYS.x = 1 ARGV.x = 2 return {#KEYS, #ARGV}
----
return KEYS.x
----
redis.call('set', 'e1', 'v', 'EX', 10) redis.call('setex', 'e2', 10, 'v') redis.call('psetex', 'e3', 10, 'v') redis.call('set', 'e4', 'v') redis.call('expire', 'e4', 5) redis.call('getex', 'e4', 'PX', 77777) return {redis.call('ttl', 'e1'), redis.call('pttl', 'e2'), redis.call('pexpiretime', 'e3'), redis.call('pexpiretime', 'e4')}
----
redis.call('rename', 'e1', 'e1b') redis.call('copy', 'e2', 'e2b') redis.call('move', 'e3', 5) redis.call('copy', 'e4', 'e4', 'DB', 6) redis.call('select', 6) redis.call('expire', 'e4', 50)
----
redis.call('set', 'gone', 'v') redis.call('expire', 'gone', 0) return redis.call('exists', 'gone')
----
redis.call('set', 'past', 'v', 'PXAT', 5) return redis.call('exists', 'past')
----
redis.call('set', 'far', 'v') return {redis.pcall('pexpireat', 'far', '9007199254740993'), redis.pcall('expire', 'far', '9223372036854775'), redis.pcall('pexpire', 'far', '9223372036854775807')}
----
return redis.call('select', 13)
----
return redis.call('move', 'e4', 13)
----
return redis.call('copy', 'e4', 'e4', 'db', '13')
----
return redis.call('copy', 'e4', 'e4', 'db\0x', '13')
----
return redis.call('swapdb', 0, 13)
----
redis.call('select', 7) redis.call('set', 'in7', 1) redis.call('flushdb') redis.call('set', 'in7b', 1) return redis.call('dbsize')
----
return redis.call('xadd', 'x', '*', 'f', 'v')
----
return {redis.call('xadd', 'x', '*\0', 'f', 'v'), redis.call('xadd', 'x', '*', 'f', 'v'), redis.call('xadd', 'x', '99999999999999-5', 'f', 'v'), redis.call('xadd', 'x', '*', 'f', 'v')}
----
for i = 1, 1000 do redis.call('xadd', 'x', '*', 'f', i) end return redis.call('xadd', 'x', 'maxlen', '~', 10, '*', 'f', 'v')
----
return {redis.call('xtrim', 'x', 'maxlen', '~', 5, 'limit', 100), redis.call('xlen', 'x')}
----
redis.call('xgroup', 'create', 'x', 'g', '0') return redis.call('xreadgroup', 'group', 'g', 'c', 'count', 3, 'streams', 'x', '>')
----
return {redis.call('xreadgroup', 'group', 'g', 'c', 'streams', 'x', '0'), redis.call('xclaim', 'x', 'g', 'c2', 0, redis.call('xrange', 'x', '-', '+')[1][1]), redis.call('xautoclaim', 'x', 'g', 'c3', 0, '0', 'count', 1), redis.call('xpending', 'x', 'g')}
----
return redis.call('xautoclaim', 'x', 'g', 'c3', 100, '0')
----
return redis.call('xclaim', 'x', 'g', 'c3', 100, '0-1')
----
return redis.call('xpending', 'x', 'g', '-', '+', 10)
----
return redis.call('xread', 'block', 1, 'streams', 'x', '$')
----
return redis.call('xgroup', 'createconsumer', 'x', 'g', 'c9')
----
redis.call('sadd', 'big', unpack(redis.call('smembers', 's'))) return redis.call('spop', 'big', 500)
----
redis.call('rpush', 'partial', 1) error('after a write')
----
redis.call('rpush', 'partial', 2) while true do redis.call('incr', 'steps') end
----
local function f() return pcall(f) end f() while true do pcall(error) end
----
return redis.acl_check_cmd('get', 'x')
----
redis.set_repl(redis.REPL_NONE) redis.call('set', 'unreplicated', 1)
----
redis.set_repl(redis.REPL_ALL) redis.log(redis.LOG_DEBUG, 'x') return redis.sha1hex('x')
----
local x = 1 -- a comment ends with a carriage return
return redis.call('time')
----
return 0x1F..redis.call('time')[1]
----
return (function(...) return ... end)(redis.call('time'))
----
local t = {} for w in ('do repeat function ) end'):gmatch('%a+') do t[#t + 1] = w end return t
----
#!lua flags=no-writes
return redis.call('set', 'never', 1)
----
#!lua flags=no-writes
return redis.pcall('spop', 's')
----
return redis.call('zrangestore', 'zr', 'z', 0, 9) + redis.call('geoadd', 'geo', 13.4, 52.5, 'b', 2.3, 48.8, 'p') + redis.call('georadius', 'geo', 10, 50, 1000, 'km', 'store', 'geo2')
----
return {redis.call('geosearch', 'geo', 'fromlonlat', 10, 50, 'byradius', 2000, 'km', 'asc'), redis.call('bitfield', 'bf', 'incrby', 'u8', 0, 300), redis.call('lcs', 'k:1', 'k:11', 'idx'), redis.call('pfadd', 'pf', 1, 2, 3), redis.call('pfcount', 'pf')}
----
redis.call('flushall') redis.call('set', 'after', 1) return redis.call('dbsize')
