-- Puts a step into every loop and function of a script, on the line where it stands, and finds the names that it uses.
-- Only what is needed for that is understood: words, numbers, strings and comments.

local counted = '__nexus_step'

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

-- Returns the code with steps and the set of names in it; nil for code that does not end where it should.
local function instrument(code)
  local out, n, copied, at = {}, 0, 1, 1
  local names, parameters = {}, false
  local function insert(behind)
    out[n + 1], out[n + 2] = sub(code, copied, behind), ' ' .. counted .. '();'
    n, copied = n + 2, behind + 1
  end
  while true do
    at = find(code, '[%a_%d"\'%[%-%)]', at)
    if not at then break end
    local c, to = sub(code, at, at), at
    if find(c, '[%a_]') then
      to = select(2, find(code, '^[%w_]+', at))
      local word = sub(code, at, to)
      names[word] = true
      if word == 'do' or word == 'repeat' then
        insert(to)
      elseif word == 'function' then
        parameters = true
      end
    elseif c == ')' then
      if parameters then
        parameters = false
        insert(at)
      end
    elseif c == '"' or c == "'" then
      to = quoted(code, at, c)
    elseif c == '[' then
      local level = match(code, '^%[(=*)%[', at)
      if level then to = closing(code, at, level) end
    elseif c == '-' then
      if sub(code, at + 1, at + 1) == '-' then
        local level = match(code, '^%-%-%[(=*)%[', at)
        if level then
          to = closing(code, at, level)
        else
          to = find(code, '[\r\n]', at) or #code
        end
      end
    else
      -- Exactly as far as Lua reads a number: what comes behind may be a name.
      to = select(2, find(code, '^[%d.]+', at))
      to = select(2, find(code, '^[Ee][+-]?', to + 1)) or to
      to = select(2, find(code, '^[%w_]+', to + 1)) or to
    end
    if not to then return nil end
    at = to + 1
  end
  out[n + 1] = sub(code, copied)
  return concat(out), names
end
