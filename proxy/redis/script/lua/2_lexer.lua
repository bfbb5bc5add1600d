-- Reads a script word by word, as far as that needs no grammar: words, numbers, strings, comments and what ends a block.
-- It puts a step into every loop and function, on the line where it stands, and finds the names that the script uses.
--
-- A name of the server's that a script assigns to is an error when the script comes there. One that a library uses outside
-- of its functions is unknown, but for redis, which is another one there. Both hold unless the code has a variable of that
-- name anywhere: that is left alone.
--
-- "return redis.call(...)" and the like are put into parentheses, as a function in Lua that is called so takes the place of its caller.

local counted, countedof = '__nexus_step', '__nexus_steps'
local fixed, absent, registrar = '__nexus_fixed', '__nexus_absent', '__nexus_redis'

local tokenend, instrument
local operators -- see 2a_operators.lua

do

local function closing(code, from, level)
  local _, to = find(code, ']' .. level .. ']', from, true)
  return to
end

local function quoted(code, from, quote)
  local at = from + 1
  while true do
    at = find(code, '[\\' .. quote .. ']', at)
    if not at then return nil end
    if sub(code, at, at) == quote then return at end
    at = at + 2
  end
end

-- Where a token that begins with c ends, and whether it is a comment; nil for one that does not end.
function tokenend(code, at, c)
  if find(c, '[%a_]') then return select(2, find(code, '^[%w_]+', at)) end
  if c == '"' or c == "'" then return quoted(code, at, c) end
  if c == '[' then
    local level = match(code, '^%[(=*)%[', at)
    if level then return closing(code, at, level) end
    return at
  end
  if c == '-' and sub(code, at + 1, at + 1) == '-' then
    local level = match(code, '^%-%-%[(=*)%[', at)
    if level then return closing(code, at, level), true end
    return find(code, '[\r\n]', at) or #code, true
  end
  if find(c, '%d') then
    -- Exactly as far as Lua reads a number: what comes behind may be a name.
    local to = select(2, find(code, '^[%d.]+', at))
    to = select(2, find(code, '^[Ee][+-]?', to + 1)) or to
    return select(2, find(code, '^[%w_]+', to + 1)) or to
  end
  return at
end

local opens = {['if'] = true, ['do'] = true, ['repeat'] = true, ['function'] = true}
local closes = {['end'] = true, ['until'] = true}

-- Returns the code with steps and the set of names in it; nil for code that does not end where it should. known has the
-- names that the server has.
function instrument(code, library, known)
  local out, n, copied, at = {}, 0, 1, 1
  local names, bound, guards = {}, {}, {}
  local parameters, listing = false, false -- names follow that are variables of the code
  local last, punct, ended = nil, nil, 0   -- the token before, and the sign behind it; where it ended
  local braces, blocks, functions = 0, {}, 0
  local parens, wraps = 0, {} -- where "return redis.call(" is to be closed
  local counts = {}           -- what a round of a loop or a call makes, for those that the code is in
  local function insert(behind, text)
    out[n + 1], out[n + 2] = sub(code, copied, behind), text
    n, copied = n + 2, behind + 1
  end
  local function guard(name, text, word)
    guards[#guards + 1] = {at = n, name = name, word = word}
    out[n] = text
  end
  local function isname(word)
    if punct == '.' or punct == ':' then return false end
    if parameters and (punct == '(' or punct == ',') or listing and punct == ','
      or not punct and (last == 'local' or last == 'for' or last == 'function') and word ~= 'function' then
      listing = not parameters
      bound[word] = true
      return false
    end
    listing = false
    return true
  end
  -- Tables and functions are made without a step of their own.
  local function make(w)
    local c = counts[#counts]
    if c then c.made = c.made + w end
  end
  local function count(at)
    insert(at, ' ' .. counted .. '();')
    counts[#counts].at = n
  end
  -- "..." stands in code. Only where it does may it be put in besides: a function in which it is nowhere has a table arg.
  local function dots()
    for i = #counts, 1, -1 do
      counts[i].dots = true
      if counts[i].called then break end
    end
  end
  local function block(word)
    if opens[word] then
      blocks[#blocks + 1] = word
      if word == 'function' then
        functions = functions + 1
        make(1)
      end
      if word ~= 'if' then
        counts[#counts + 1] = {made = 1, called = word == 'function'}
      end
    elseif closes[word] then
      if blocks[#blocks] == 'function' then functions = functions - 1 end
      if blocks[#blocks] ~= 'if' then
        local c = counts[#counts]
        if c and c.at and (c.made > 1 or c.dots) then
          names[countedof] = true
          out[c.at] = ' ' .. countedof .. '(' .. c.made .. (c.dots and ', ...' or '') .. ');'
        end
        counts[#counts] = nil
      end
      blocks[#blocks] = nil
    end
  end
  while true do
    at = find(code, '[%a_%d"\'%[%-%)]', at)
    if not at then break end
    local c = sub(code, at, at)
    local to, comment = tokenend(code, at, c)
    if not to then return nil end
    local gap = sub(code, ended + 1, at - 1)
    punct = match(gap, '([^%s])%s*$') or punct
    for sign in string.gmatch(gap, '[{}(,;]') do
      if sign == '(' then
        parens = parens + 1
      elseif sign == '{' then
        braces = braces + 1
        make(3)
      elseif sign == '}' then
        braces = braces - 1
      elseif braces > 0 then
        make(0.5)
      end
    end
    if not parameters and find(gap, '...', 1, true) then dots() end
    local word
    if find(c, '[%a_]') then
      word = sub(code, at, to)
      names[word] = true
      local assigned = find(code, '^%s*=[^=]', to + 1)
      if not isname(word) or not known[word] then
        assigned = nil
      elseif assigned then
        if braces == 0 and punct ~= ',' and punct ~= '(' then
          insert(at - 1, '')
          guard(word, ' ' .. fixed .. '(); ')
        end
      elseif library and functions == 0 then
        insert(at - 1, '')
        copied = to + 1
        guard(word, word == 'redis' and registrar or absent .. '("' .. word .. '")', word)
      elseif word == 'redis' and last == 'return' and not punct and find(code, '^%.%w+%(', to + 1) then
        insert(at - 1, '(')
        wraps[#wraps + 1] = parens
      end
      block(word)
      if word == 'do' or word == 'repeat' then
        count(to)
      elseif word == 'function' then
        parameters = true
      end
    elseif c == ')' then
      parens = parens - 1
      if parens == wraps[#wraps] then
        insert(at, ')')
        wraps[#wraps] = nil
      end
      if parameters then
        parameters = false
        count(at)
      end
    end
    if not comment then
      last, punct = word or c, nil
      listing = listing and word ~= nil
    end
    ended, at = to, to + 1
  end
  out[n + 1] = sub(code, copied)
  for _, g in ipairs(guards) do
    if bound[g.name] then
      out[g.at] = g.word or ''
    else
      names[fixed], names[absent], names[registrar] = true, true, true
    end
  end
  return concat(out), names
end

end
