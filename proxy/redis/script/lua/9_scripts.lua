-- The cache of scripts: bodies by their SHA1 in the database that clients cannot reach, and here what was compiled.

local scripts, held = {}, 0
local bodies = '$scripts'

-- Scripts that came with EVAL, oldest first: there is no end to those that programs make up. What SCRIPT LOAD has brought
-- stays until SCRIPT FLUSH.
local passing = '$passing'
local most = 1000

local function remember(sha, entry)
  if not scripts[sha] then
    if held >= 5 * most then scripts, held = {}, 0 end
    held = held + 1
  end
  scripts[sha] = entry
end

-- Writes a body to the cache of all replicas, to stay or for as long as there is room.
local function store(sha, body, stays)
  native('select', reserved)
  local fresh = native('hset', bodies, sha, body) == 1
  if stays then
    if not fresh then native('lrem', passing, 1, sha) end
  elseif fresh and native('rpush', passing, sha) > most then
    local oldest = native('lpop', passing)
    native('hdel', bodies, oldest)
    if scripts[oldest] then scripts[oldest].kept = nil end
  end
  native('select', db)
end

local declared = {['no-writes'] = true, ['allow-oom'] = true, ['allow-stale'] = true, ['no-cluster'] = true, ['allow-cross-slot-keys'] = true}

-- Compiles a script, or returns nil and the error.
local function parse(body)
  local code, header = body, nil
  if sub(body, 1, 2) == '#!' then
    local line = find(body, '\n', 1, true)
    if not line then return nil, fail('Invalid script shebang') end
    header, code = sub(body, 1, line - 1), sub(body, line)
  end
  local flags = {}
  if header then
    local first = match(header, '^%S+')
    if first ~= '#!lua' then return nil, fail('Unexpected engine in script shebang: ' .. first) end
    for part in string.gmatch(sub(header, 6), '%S+') do
      local list = match(part, '^flags=(.*)$')
      if not list then return nil, fail('Unknown lua shebang option: ' .. part) end
      for flag in string.gmatch(list .. ',', '([^,]*),') do
        if list ~= '' and not declared[flag] then return nil, fail('Unexpected flag in script shebang: ' .. flag) end
        flags[flag] = true
      end
    end
  end
  local entry, err = compile(code, '@user_script')
  if not entry then return nil, fail('Error compiling script (new function): ' .. err) end
  entry.writes = header ~= nil and not flags['no-writes']
  entry.nowrites = flags['no-writes']
  return entry
end

-- The script with this body, which is written to the cache of all replicas if it is to be kept: 'passing' or 'staying'.
local function script(body, keep)
  local sha = redis.sha1hex(body)
  local entry, err = scripts[sha], nil
  if not entry then
    entry, err = parse(body)
    if not entry then return nil, err end
    entry.sha = sha
  end
  remember(sha, entry)
  if keep and entry.kept ~= keep and entry.kept ~= 'staying' then
    store(sha, body, keep == 'staying')
    entry.kept = keep
  end
  return entry
end

-- The script with this SHA1, if it is in the cache of all replicas.
local function known(sha)
  sha = lower(sha)
  local entry = scripts[sha]
  if entry and entry.kept then return entry end
  native('select', reserved)
  local body = native('hget', bodies, sha)
  native('select', db)
  if type(body) ~= 'string' then return nil, {err = 'NOSCRIPT No matching script. Please use EVAL.'} end
  local err
  entry, err = parse(body)
  if not entry then return nil, err end
  entry.kept, entry.sha = 'passing', sha
  remember(sha, entry)
  return entry
end

local readonly = 'Can not execute a script with write flag using *_ro command.'

local function start(entry, keys, args)
  nowrites = entry.nowrites
  if entry.writes and not logged and not trying then return fail(readonly) end
  return run(entry.call, entry.large, keys, args, entry.sha, 'user_script')
end

local function eval(log, keep, try)
  return function(keys, args)
    local entry, err = script(begin(args, log, try), keep)
    if not entry then return err end
    return start(entry, keys, args)
  end
end

local function evalsha(log, try)
  return function(keys, args)
    local entry, err = known(begin(args, log, try))
    if not entry then return err end
    return start(entry, keys, args)
  end
end

-- A statement that nobody will ask for by its SHA1.
local function once(log)
  return function(keys, args)
    local body = begin(args, log)
    local entry, err = parse(body)
    if not entry then return err end
    entry.sha = redis.sha1hex(body)
    return start(entry, keys, args)
  end
end

local function scriptload(keep)
  return function(keys, args)
    local body = begin(args, true)
    local entry, err = script(body, keep)
    return entry and redis.sha1hex(body) or err
  end
end

local function scriptexists(keys, args)
  begin(args, false)
  native('select', reserved)
  local out = {}
  for i = 1, #args do out[i] = native('hexists', bodies, lower(args[i])) end
  return out
end

local function scriptflush(keys, args)
  begin(args, true)
  native('select', reserved)
  native('del', bodies, passing)
  scripts, held = {}, 0
  return {ok = 'OK'}
end
