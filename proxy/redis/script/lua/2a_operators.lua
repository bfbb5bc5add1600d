-- Reads a script token by token, as far as is needed to find where expressions begin that a method is called of, and every
-- ".." between two values. What these do is counted: see 3a_counting.lua.

local catname, methodprefix, allname = '__nexus_cat', '__nexus_m_', '__nexus_all'

do

local keywords = {
  ['and'] = true, ['break'] = true, ['do'] = true, ['else'] = true, ['elseif'] = true, ['end'] = true, ['false'] = true,
  ['for'] = true, ['function'] = true, ['if'] = true, ['in'] = true, ['local'] = true, ['nil'] = true, ['not'] = true,
  ['or'] = true, ['repeat'] = true, ['return'] = true, ['then'] = true, ['true'] = true, ['until'] = true, ['while'] = true
}

local ends = {['end'] = true, ['else'] = true, ['elseif'] = true, ['until'] = true}
local counting = {string = true, table = true, unpack = true, cjson = true, cmsgpack = true, struct = true, coroutine = true, error = true}

-- Puts edits, each a place, how much is left out there, and what is put in, into code.
local function edited(code, edits)
  if #edits == 0 then return code end
  for i = 1, #edits do edits[i].order = i end
  -- Of two at one place the later one goes around the earlier.
  sort(edits, function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.order > b.order
  end)
  local out, copied = {}, 1
  for i = 1, #edits do
    local e = edits[i]
    out[#out + 1], out[#out + 2] = sub(code, copied, e.at - 1), e.text
    copied = e.at + e.gone
  end
  out[#out + 1] = sub(code, copied)
  return concat(out)
end

-- Returns the code with "a .. cat .. b" for "a .. b", and "method(a)(b)" for "a:method(b)". Nil for code that does not end
-- where it should, or that names what only this puts there.
--
-- "return string.find(...)" becomes "return all(1, string.find(...))", as a function in Lua that is called so takes the place
-- of its caller, and errors would not find it.
function operators(code)
  local edits = {}
  local from = nil    -- where an expression begins that may go on with a call, an index or a method
  local before = ''   -- the token before, if it is a sign
  local defined = false -- a name follows of a function that is defined
  local open = {}     -- where the expression goes on after a bracket has closed; false if it does not
  local colon
  local returns, ended = {}, 0 -- where lists behind "return" begin; where the token before has ended
  local function returned()
    local r = returns[#returns]
    if not r or #open ~= r.depth then return end
    if r.wrap and r.at then
      edits[#edits + 1] = {at = r.at, gone = 0, text = allname .. '(1, '}
      edits[#edits + 1] = {at = ended + 1, gone = 0, text = ')'}
    end
    returns[#returns] = nil
  end
  local at = 1
  while true do
    at = find(code, '%S', at)
    if not at then break end
    local c = sub(code, at, at)
    local to, comment = tokenend(code, at, c)
    if not to then return nil end
    local r = returns[#returns]
    if not comment and find(c, '[%a_]') then
      local word = sub(code, at, to)
      if find(word, '^__nexus_') then return nil end
      if ends[word] or word == 'function' and r and #open == r.depth then
        if word == 'function' then r.wrap = false else returned() end
      elseif r and not r.at and counting[word] then
        r.wrap = true
      end
      if word == 'return' then
        returns[#returns + 1] = {depth = #open}
        r = nil
      end
      if keywords[word] then
        from, defined = nil, word == 'function'
      elseif before == ':' and from then
        if methods[word] and not defined then
          edits[#edits + 1] = {at = from, gone = 0, text = methodprefix .. word .. '('}
          if r and r.at == from then r.wrap = r.wrap == nil or r.wrap end
          -- The bracket stands where the name did: Lua wants that of a call on the same line.
          local space = sub(code, colon + 1, at - 1)
          edits[#edits + 1] = {at = colon, gone = to - colon + 1, text = space .. ')'}
        end
      elseif before ~= '.' or not from then
        from = at
      end
      before = ''
    elseif comment then
      -- Nothing.
    elseif find(c, '[%d"\']') or c == '[' and to > at then
      if find(c, '%d') then from = nil end
      before = ''
    elseif c == '.' or c == ':' then
      before = c
      colon = at
      if sub(code, at, at + 2) == '...' then
        to, from, before = at + 2, nil, ''
      elseif sub(code, at, at + 1) == '..' then
        to, from, before = at + 1, nil, ''
        edits[#edits + 1] = {at = at, gone = 0, text = '..' .. catname}
      end
    else
      before = ''
      if c == ';' then returned() end
      if c == '(' then
        open[#open + 1] = not defined and (from or at)
        from, defined = nil, false
      elseif c == '[' or c == '{' then
        open[#open + 1] = from or false
        from = nil
      elseif c == ')' or c == ']' or c == '}' then
        from = open[#open] or nil
        open[#open] = nil
      else
        from = nil
      end
    end
    if not comment then
      if r and not r.at then r.at = at end
      ended = to
    end
    at = to + 1
  end
  while returns[1] do
    if #open ~= returns[#returns].depth then break end
    returned()
  end
  return edited(code, edits)
end

end
