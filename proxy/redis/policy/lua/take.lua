-- SPOP of members that were chosen before. ARGV: the count or -1, and the members. KEYS: the set.
--
-- What is chosen must still be there, and no more than the set may lack if that was to be emptied. Otherwise nothing is
-- done, which the status RETRY tells.
local key, count = KEYS[1], tonumber(ARGV[1])
local size = redis.pcall('SCARD', key)
if type(size) == 'table' then return size end
local one = count < 0
if one then count = 1 end
if size == 0 or count == 0 then return not one and {} end
if size <= count then
  local all
  if one then all = redis.call('SPOP', key) else all = redis.call('SPOP', key, ARGV[1]) end
  tell('s', 'spop')
  tell('g', 'del')
  return all
end
if #ARGV - 1 ~= count then return redis.status_reply('RETRY') end
for i = 2, #ARGV do
  if redis.call('SISMEMBER', key, ARGV[i]) == 0 then return redis.status_reply('RETRY') end
end
for i = 2, #ARGV do redis.call('SREM', key, ARGV[i]) end
tell('s', 'spop')
if one then return ARGV[2] end
table.remove(ARGV, 1)
return ARGV
