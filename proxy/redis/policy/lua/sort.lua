-- SORT BY ... ALPHA ... STORE. Elements that compare equal would be stored in the order of a hash table, so a set or a
-- sorted set is made a list first, which SORT does in an order of its own. ARGV: the arguments of SORT from the key's
-- successor on. KEYS: the source and the destination.
local key = KEYS[1]
local kind = redis.call('TYPE', key).ok
if kind ~= 'set' and kind ~= 'zset' then return redis.pcall('SORT', key, unpack(ARGV)) end
local list = '\0nexus:sort\0'
while redis.call('EXISTS', list) == 1 do list = list .. '\0' end
redis.call('SORT', key, 'BY', 'nosort', 'STORE', list)
local sorted = redis.pcall('SORT', list, unpack(ARGV))
redis.call('DEL', list)
return sorted
