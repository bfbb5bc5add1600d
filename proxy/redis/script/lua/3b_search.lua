-- Searches. The patterns of Lua go back wherever a match may have more than one end, which may take a server for ever. One for
-- which that cannot be long is left to the server. For the others strings are searched here, with the same results, and every
-- look is a step.

do

local function byclass(class)
  local set = {}
  if #class == 1 and class ~= '.' then
    set[byte(class)] = true
    return set
  end
  for i = 0, 255 do
    if find(string.char(i), '^' .. class) then set[i] = true end
  end
  return set
end

local function classend(p, at)
  local c = sub(p, at, at)
  if c == '%' then
    if at == #p then return nil, "malformed pattern (ends with '%')" end
    return at + 2
  end
  if c ~= '[' then return at + 1 end
  at = at + 1
  if sub(p, at, at) == '^' then at = at + 1 end
  repeat
    if at > #p then return nil, "malformed pattern (missing ']')" end
    local escape = sub(p, at, at) == '%'
    at = at + 1
    if escape and at <= #p then at = at + 1 end
  until sub(p, at, at) == ']'
  return at + 1
end

-- The item of a pattern at a place, and where the next one is; nil and the error if it is none.
local function item(p, at)
  local c, d = sub(p, at, at), sub(p, at + 1, at + 1)
  if c == '(' then
    if d == ')' then return {kind = 'here'}, at + 2 end
    return {kind = 'open'}, at + 1
  end
  if c == ')' then return {kind = 'close'}, at + 1 end
  if c == '$' and at == #p then return {kind = 'end'}, at + 1 end
  if c == '%' and d == 'b' then
    if #p < at + 3 then return nil, 'unbalanced pattern' end
    return {kind = 'balance', open = byte(p, at + 2), close = byte(p, at + 3)}, at + 4
  end
  if c == '%' and d == 'f' then
    if sub(p, at + 2, at + 2) ~= '[' then return nil, "missing '[' after '%f' in pattern" end
    local to, err = classend(p, at + 2)
    if not to then return nil, err end
    return {kind = 'frontier', class = sub(p, at + 2, to - 1)}, to
  end
  if c == '%' and find(d, '%d') then return {kind = 'again', number = tonumber(d)}, at + 2 end
  local to, err = classend(p, at)
  if not to then return nil, err end
  local class, quantity = sub(p, at, to - 1), sub(p, to, to)
  if quantity ~= '' and find(quantity, '[*+?-]') then return {kind = quantity, class = class}, to + 1 end
  return {kind = 'one', class = class}, to
end

local most = 300 -- items of a pattern; each may be a call on the stack of the server

-- A pattern as a list of items, with how much it may go back: the number of items behind which it has many ends, and of
-- those with two. Nil and the error if it is none.
local function parse(p)
  local list = {loops = 0, forks = 0, slow = false, sound = true}
  local at = 1
  if sub(p, 1, 1) == '^' then list.anchored, at = true, 2 end
  while at <= #p do
    local it, to = item(p, at)
    if not it then return nil, to end
    if #list == most then return nil, 'nexus: the pattern is too complex' end
    list[#list + 1], at = it, to
  end
  local final, open = true, 0
  for i = #list, 1, -1 do
    local kind = list[i].kind
    if kind == '*' or kind == '+' or kind == '-' then
      if final then list.slow = true else list.loops = list.loops + 1 end
    elseif kind == '?' then
      if not final then list.forks = list.forks + 1 end
    elseif kind == 'balance' or kind == 'again' then
      list.slow = true
      if kind == 'again' then list.sound = false end
    elseif kind == 'close' then
      open = open + 1
    elseif kind == 'open' then
      open = open - 1
    end
    if open < 0 then list.sound = false end
    final = final and kind == 'close'
  end
  list.sound = list.sound and open == 0 and #list <= 32
  return list
end

-- Gives the items what they match, for a search here. That takes as long as many steps, and is counted each time: what a server
-- has kept is its own.
local function equip(list, level)
  spend(40 * #list, level)
  local sets = {}
  for _, it in ipairs(list) do
    if it.class and not it.set then
      sets[it.class] = sets[it.class] or byclass(it.class)
      it.set = sets[it.class]
    end
  end
end

local parsed, nparsed = {}, 0

local function patternof(p)
  local list, err = parsed[p], nil
  if list then return list end
  list, err = parse(match(p, '^[^%z]*'))
  if not list then return nil, err end
  list.plain = not find(p, '[%^%$%*%+%?%.%(%[%%%-]')
  if nparsed > most then parsed, nparsed = {}, 0 end
  if #p <= 200 then parsed[p], nparsed = list, nparsed + 1 + #list / 4 end
  return list
end

local enough = 100000 -- looks that are left to the server

-- At most how many looks a search takes in n bytes; more than enough is not told apart.
local function looks(list, n)
  local w = list.anchored and 1 or n + 1
  if list.slow then w = w * (n + 1) end
  for _ = 1, list.loops do
    if w > enough then return w end
    w = w * (n + 1)
  end
  for _ = 1, list.forks do
    if w > enough then return w end
    w = w * 2
  end
  return w
end

-- The items of a pattern that is to be looked for here. Nil if the server is to, for which the steps are taken already, or to
-- complain; and whether it certainly does not, if the subject and the pattern are all that it gets.
local function mine(s, p, plain, level)
  local n, m = size(s), size(p)
  if not n or not m then return nil end
  local list, err
  if not plain then
    if type(p) == 'number' then p = tostring(p) end
    list, err = parsed[p], nil
    if not list and find(p, '[%^%$%*%+%?%.%(%[%%%-]') then
      list, err = patternof(p)
      if not list then error(err, level) end
    end
  end
  if not list or list.plain then
    spend(1 + n / 256 + n * m / 4096, level + 1)
    return nil, true
  end
  local w = looks(list, n)
  if w > enough then
    spend(m, level + 1)
    equip(list, level + 2)
    return list
  end
  spend(2 + m + n / unit + w / 2000, level + 1)
  return nil, list.sound
end

-- Of the search under way: nothing else runs until it ends.
local subject, length, items
local captured, from, long = 0, {}, {} -- captures: how many, where they begin, and how long they are
local opened, place = -1, -2 -- instead of a length

local function balance(si, it)
  if byte(subject, si) ~= it.open then return nil end
  local depth, at = 1, si + 1
  while at <= length do
    steps = steps + 1
    local c = byte(subject, at)
    if c == it.close then
      depth = depth - 1
      if depth == 0 then return at + 1 end
    elseif c == it.open then
      depth = depth + 1
    end
    at = at + 1
  end
end

-- Where the items from pi on, matched at si, end; nil if they do not match.
local function domatch(si, pi)
  while true do
    steps = steps + 1
    if steps > limit then error(verdict, 0) end
    local it = items[pi]
    if not it then return si end
    local kind, set = it.kind, it.set
    if kind == 'one' then
      if not set[byte(subject, si)] then return nil end
      si = si + 1
    elseif kind == '?' then
      if set[byte(subject, si)] then
        local to = domatch(si + 1, pi + 1)
        if to then return to end
      end
    elseif kind == '*' or kind == '+' then
      local to = si
      while set[byte(subject, to)] do to = to + 1 end
      steps = steps + (to - si)
      for e = to, kind == '+' and si + 1 or si, -1 do
        local r = domatch(e, pi + 1)
        if r then return r end
      end
      return nil
    elseif kind == '-' then
      while true do
        local to = domatch(si, pi + 1)
        if to then return to end
        if not set[byte(subject, si)] then return nil end
        si = si + 1
      end
    elseif kind == 'open' or kind == 'here' then
      if captured == 32 then error('too many captures', 0) end
      captured = captured + 1
      from[captured], long[captured] = si, kind == 'open' and opened or place
      local to = domatch(si, pi + 1)
      if not to then captured = captured - 1 end
      return to
    elseif kind == 'close' then
      local l = captured
      while l > 0 and long[l] ~= opened do l = l - 1 end
      if l == 0 then error('invalid pattern capture', 0) end
      long[l] = si - from[l]
      local to = domatch(si, pi + 1)
      if not to then long[l] = opened end
      return to
    elseif kind == 'again' then
      local l = it.number
      if l < 1 or l > captured or long[l] == opened then error('invalid capture index', 0) end
      local n = long[l]
      if n < 0 or n > length - si + 1 then return nil end
      steps = steps + n / unit
      if sub(subject, from[l], from[l] + n - 1) ~= sub(subject, si, si + n - 1) then return nil end
      si = si + n
    elseif kind == 'balance' then
      si = balance(si, it)
      if not si then return nil end
    elseif kind == 'frontier' then
      if set[si > 1 and byte(subject, si - 1) or 0] or not set[byte(subject, si) or 0] then return nil end
    else
      return si == length + 1 and si or nil
    end
    pi = pi + 1
  end
end

local function matched(s, list, si)
  subject, length, items, captured = s, #s, list, 0
  return domatch(si, 1)
end

local function capture(l, si, to)
  if l > captured then
    if l ~= 1 then error('invalid capture index', 0) end
    return sub(subject, si, to - 1)
  end
  local n = long[l]
  if n == opened then error('unfinished capture', 0) end
  if n == place then return from[l] end
  return sub(subject, from[l], from[l] + n - 1)
end

local function captures(si, to, whole)
  local out, n = {}, captured == 0 and whole and 1 or captured
  for l = 1, n do
    out[l] = capture(l, si, to)
    steps = steps + size(out[l]) / unit
  end
  return unpack(out, 1, n)
end

-- find and match.
local function finder(name, f, finds)
  return function(level)
    return function(...)
      local s, p, init, plain = ...
      local list, sound = mine(s, p, finds and plain, level)
      if sound and (init == nil or type(init) == 'number') then return f(...) end
      if not list or init ~= nil and not tonumber(init) then return outcomes(name, level, pcall(f, ...)) end
      s = tostring(s)
      local si = tonumber(init) or 1
      si = si - si % 1
      if si < 0 then si = #s + si + 1 end
      si = si < 1 and 1 or si > #s + 1 and #s + 1 or si
      repeat
        local to = matched(s, list, si)
        if to and finds then return si, to - 1, captures(si, to) end
        if to then return captures(si, to, true) end
        si = si + 1
      until list.anchored or si > #s + 1
      return nil
    end
  end
end

local function gmatch(f)
  return function(level)
    return function(...)
      local s, p = ...
      -- Which begins with ^ as with any other character.
      local list = mine(s, type(p) == 'string' and sub(p, 1, 1) == '^' and '%' .. p or p, false, level)
      if not list then return outcomes('gmatch', level, pcall(f, ...)) end
      s = tostring(s)
      local si = 1
      return function()
        while si <= #s + 1 do
          local at, to = si, matched(s, list, si)
          if to then
            si = to == at and to + 1 or to
            return captures(at, to, true)
          end
          si = si + 1
        end
      end
    end
  end
end

-- What gsub puts in place of a match.
local function replacement(repl, si, to)
  local kind, value = type(repl), nil
  if kind == 'function' or repl == call then
    value = repl(captures(si, to, true))
  elseif kind == 'table' then
    value = repl[capture(1, si, to)]
  else
    value = string.gsub(repl, '%%(.?)', function(c)
      if c == '' then return '\0' end
      if not find(c, '%d') then return c end
      local text = c == '0' and sub(subject, si, to - 1) or capture(tonumber(c), si, to)
      steps = steps + size(text) / unit
      if steps > limit then error(verdict, 0) end
      return text
    end)
  end
  if not value then return nil end
  local n = size(value)
  if not n then error('invalid replacement value (a ' .. type_(value) .. ')', 0) end
  steps = steps + n / unit
  return value
end

local function replaced(s, list, repl, max)
  local out, n, copied, si = {}, 0, 1, 1
  while n < max do
    local to = matched(s, list, si)
    if to then
      n = n + 1
      local value = replacement(repl, si, to)
      if value then
        out[#out + 1], out[#out + 2] = sub(s, copied, si - 1), value
        copied = to
      end
    end
    if to and to > si then si = to else si = si + 1 end
    if si > #s + 1 or list.anchored then break end
  end
  out[#out + 1] = sub(s, copied)
  steps = steps + #s / unit
  if steps > limit then error(verdict, 0) end
  return concat(out), n
end

-- What comes back is counted when it comes.
local function counting(repl)
  return function(...)
    local value = nil
    if type(repl) == 'table' and repl ~= call then value = repl[(...)] else value = repl(...) end
    steps = steps + (size(value) or 0) / unit
    if steps > limit then error(verdict, 0) end
    return value
  end
end

local function gsub(f)
  return function(level)
    return function(...)
      local s, p, repl, max = ...
      local list = mine(s, p, false, level)
      local n, kind, few = size(s), type(repl), select('#', ...) < 4
      if not n or not size(p) or not (kind == 'function' or kind == 'table' or size(repl)) or max ~= nil and not tonumber(max) then
        return outcomes('gsub', level, pcall(f, ...))
      end
      if not list and size(repl) then
        -- Every place may be replaced by all of repl, and of the subject once for each digit in it.
        local _, digits = string.gsub(repl, '%%%d', '')
        local longest = (n + 1) * (size(repl) + digits * n)
        if longest <= 10 * enough then
          spend(longest / unit / 8, level)
          if few then return outcomes('gsub', level, pcall(f, s, p, repl)) end
          return outcomes('gsub', level, pcall(f, s, p, repl, max))
        end
        list = patternof(tostring(p))
        if not list then -- long, but plain
          spend((n / size(p) + 1) * (size(repl) + digits * size(p)) / unit, level)
          return outcomes('gsub', level, pcall(f, ...))
        end
        equip(list, level + 1)
      end
      if not list then
        if few then return outcomes('gsub', level, pcall(f, s, p, counting(repl))) end
        return outcomes('gsub', level, pcall(f, s, p, counting(repl), max))
      end
      s = tostring(s)
      return replaced(s, list, repl, tonumber(max) or #s + 1)
    end
  end
end

-- By name, what makes the functions for a level.
function searches()
  return {
    find = finder('find', string.find, true), match = finder('match', string.match, false),
    gmatch = gmatch(string.gmatch), gsub = gsub(string.gsub),
  }
end

end
