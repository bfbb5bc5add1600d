-- What the user may do who runs the script, where that is not everything. The call carries it (see Rights of package acl),
-- so every replica decides by the same. The texts are those of the server.

local parsed, nparsed = {}, 0 -- by their text

local function unhex(digits)
  return (string.gsub(digits, '%x%x', function(d) return string.char(tonumber(d, 16)) end))
end

local function parseselector(line)
  local s = {all = sub(line, 1, 1) == '+', named = {}, first = {}, keys = {}, channels = {}}
  for word in string.gmatch(line, '%S+') do
    local kind, rest = sub(word, 1, 1), sub(word, 2)
    if kind == 'c' then s.named[rest] = true end
    if kind == 'f' then
      local name, arg = match(rest, '^(.*)|(%x*)$')
      s.first[name] = s.first[name] or {}
      s.first[name][unhex(arg)] = true
    end
    if kind == 'k' then s.keys[#s.keys + 1] = {how = sub(rest, 1, 1), pattern = unhex(sub(rest, 2))} end
    if kind == 'p' then s.channels[#s.channels + 1] = unhex(rest) end
    if kind == 'K' then s.allkeys = true end
    if kind == 'A' then s.anyread = true end
    if kind == 'P' then s.allchannels = true end
  end
  return s
end

function parserights(text)
  local list = parsed[text]
  if list then return list end
  list = {}
  for line in string.gmatch(text, '[^\n]+') do list[#list + 1] = parseselector(line) end
  if nparsed == 100 then parsed, nparsed = {}, 0 end
  parsed[text], nparsed = list, nparsed + 1
  return list
end

local containers = ' acl client cluster command config function latency memory module object pubsub script slowlog xgroup xinfo '

-- The keys of a command: name, whether it is read, whether it is written, by turns. Nil where they cannot be told.
local function keysused(name, a, n, ...)
  local out = {}
  if name == 'xread' or name == 'xreadgroup' then
    local seen = 0
    for i = 2, n do
      if option(a[i]) == 'streams' then seen = seen + 1 end
    end
    if seen > 1 then return nil end
  end
  if name == 'sort' or name == 'georadius' or name == 'georadiusbymember' then
    for i = 3, n - 1 do
      local o = option(a[i])
      if o == 'store' or o == 'storedist' then out[#out + 1], out[#out + 2], out[#out + 3] = a[i + 1], false, true end
    end
  end
  local r = native('command', 'getkeysandflags', ...)
  if type(r) ~= 'table' or r.err then return out end
  for _, key in ipairs(r) do
    local read, write = false, false
    for k, v in next, key[2].set or key[2] do
      local flag = type(v) == 'table' and v.ok or k
      read = read or flag == 'access'
      write = write or flag == 'insert' or flag == 'delete' or flag == 'update'
    end
    local at = #out
    out[at + 1], out[at + 2], out[at + 3] = key[1], read, write
  end
  return out
end

local function mayuse(s, key, read, write)
  for _, p in ipairs(s.keys) do
    local enough = p.how == 'b' or p.how == 'r' and not write or p.how == 'w' and not read or not read and not write
    if enough and find(key, p.pattern) then return true end
  end
  return false
end

local function mayrun(s, name, a, n)
  if s.all ~= (s.named[name] or false) then return true end
  return n > 1 and s.first[name] ~= nil and s.first[name][option(a[2])] or false
end

-- What a selector denies: nothing, 1 for the command, 2 for a key, 3 for a channel.
local function selectordenies(s, name, a, n, keys)
  if not mayrun(s, name, a, n) then return 1 end
  if not s.allkeys then
    if not keys then return 2 end
    for i = 1, #keys, 3 do
      if not mayuse(s, keys[i], keys[i + 1], keys[i + 2]) then return 2 end
    end
  end
  if not s.allchannels and n > 1 and (name == 'publish' or name == 'spublish') then
    for _, p in ipairs(s.channels) do
      if find(a[2], p) then return nil end
    end
    return 3
  end
end

-- SORT reads keys by a pattern only for who may read all keys.
local function optiondenied(name, a, n)
  if name ~= 'sort' and name ~= 'sort_ro' then return nil end
  local used
  for i = 3, n - 1 do
    local o = option(a[i])
    if not used and (o == 'get' or o == 'by' and find(a[i + 1], '*', 1, true)) then used = string.upper(o) end
  end
  if not used then return nil end
  for _, s in ipairs(rights) do
    if s.anyread and mayrun(s, name, a, n) then return nil end
  end
  return used .. ' option of SORT denied due to insufficient ACL permissions'
end

local verdicts = {
  "can't run this command or subcommand",
  "can't access at least one of the keys mentioned in the command arguments",
  "can't publish to the channel mentioned in the command",
}

-- Why the user may not run a command, or nil.
function denied(...)
  local a, n = strings(...)
  if not a or n == 0 then return nil end
  local name = lower(a[1])
  if n > 1 and find(containers, ' ' .. name .. ' ', 1, true) then name = name .. '|' .. lower(a[2]) end
  local keys, worst = keysused(name, a, n, ...), 1
  for _, s in ipairs(rights) do
    local verdict = selectordenies(s, name, a, n, keys)
    if not verdict then return optiondenied(name, a, n) end
    if verdict > worst then worst = verdict end
  end
  return 'The user executing the script ' .. verdicts[worst]
end
