-- XADD whose ID the server chooses. ARGV: the leader's time, the position of the ID in the rest, and the arguments of
-- XADD from the key's successor on. KEYS: the stream.
--
-- The ID is what Redis would choose if its clock showed the leader's time: the next one of that millisecond, or the next
-- one after the last if that lies ahead.
local at = tonumber(ARGV[2]) + 2
local function add(id)
  ARGV[at] = id
  return redis.pcall('XADD', KEYS[1], unpack(ARGV, 3))
end
local added = add(ARGV[1] .. '-*')
if type(added) ~= 'table' or not string.find(added.err, 'equal or smaller', 1, true) then return added end
local last = '0-0'
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then last = info[i + 1] end
end
local ms, seq = string.match(last, '^(%d+)-(%d+)$')
if seq ~= '18446744073709551615' then return add(ms .. '-*') end
local i = #ms
while i > 0 and string.sub(ms, i, i) == '9' do i = i - 1 end
local head = i > 0 and string.sub(ms, 1, i - 1) .. string.char(string.byte(ms, i) + 1) or '1'
return add(head .. string.rep('0', #ms - i) .. '-0')
