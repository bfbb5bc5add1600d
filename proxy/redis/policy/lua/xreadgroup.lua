-- XREADGROUP whose deliveries bear the leader's time. ARGV: that time, as it is stored, the group, the consumer, 1 for
-- NOACK, and the arguments of XREADGROUP. KEYS: the streams.
local read = redis.pcall('XREADGROUP', unpack(ARGV, 5))
if type(read) ~= 'table' or read.err or ARGV[4] == '1' then return read end
for _, stream in ipairs(read) do
  local ids = {}
  local function flush()
    if #ids == 0 then return end
    local args = {'XCLAIM', stream[1], ARGV[2], ARGV[3], '0'}
    for _, id in ipairs(ids) do args[#args + 1] = id end
    args[#args + 1] = 'TIME'
    args[#args + 1] = ARGV[1]
    args[#args + 1] = 'JUSTID'
    redis.call(unpack(args))
    ids = {}
  end
  for _, entry in ipairs(stream[2]) do
    -- An entry that was deleted is shown without fields, and keeps its time. XCLAIM would forget it.
    if entry[2] then ids[#ids + 1] = entry[1] end
    if #ids == 1000 then flush() end
  end
  flush()
end
return read
