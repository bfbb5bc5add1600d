-- SPOP. ARGV: the seed, and the count or -1. KEYS: the set.
--
-- The members whose hashes with the seed are the smallest are taken: that depends neither on the order of the hash table
-- nor on the locale.
local key, seed, count = KEYS[1], ARGV[1], tonumber(ARGV[2])
local size = redis.pcall('SCARD', key)
if type(size) == 'table' then return size end
local one = count < 0
if one then count = 1 end
if size == 0 or count == 0 then return not one and {} end
if size <= count then
  local all
  if one then all = redis.call('SPOP', key) else all = redis.call('SPOP', key, ARGV[2]) end
  tell('s', 'spop')
  tell('g', 'del')
  return all
end
-- Numbers, as the order of strings is a matter of the locale. 52 bits are exact.
local hash
function hash(salt)
  local numbers, members = {}, {}
  for i, member in ipairs(redis.call('SMEMBERS', key)) do
    local n = tonumber(string.sub(redis.sha1hex(salt .. member), 1, 13), 16)
    if members[n] then return hash(salt .. '.') end
    numbers[i], members[n] = n, member
  end
  return numbers, members
end
local numbers, members = hash(seed)
table.sort(numbers)
local taken = {}
for i = 1, count do
  taken[i] = members[numbers[i]]
  redis.call('SREM', key, taken[i])
end
tell('s', 'spop')
if one then return taken[1] end
return taken
