-- Reads a script token by token, as far as is needed to find where expressions begin that a method is called of, every
-- ".." between two values, and comparisons. What these do is counted: see 3a_counting.lua.

do

local catname, methodprefix, allname = '__nexus_cat', '__nexus_m_', '__nexus_all'
local comparedname, rowname = '__nexus_compared', '__nexus_row'

local keywords = {
  ['and'] = true, ['break'] = true, ['do'] = true, ['else'] = true, ['elseif'] = true, ['end'] = true, ['false'] = true,
  ['for'] = true, ['function'] = true, ['if'] = true, ['in'] = true, ['local'] = true, ['nil'] = true, ['not'] = true,
  ['or'] = true, ['repeat'] = true, ['return'] = true, ['then'] = true, ['true'] = true, ['until'] = true, ['while'] = true
}

local ends = {['end'] = true, ['else'] = true, ['elseif'] = true, ['until'] = true}
local counting = {
  string = true, table = true, unpack = true, cjson = true, cmsgpack = true, struct = true, coroutine = true, error = true,
  tonumber = true
}

-- Keywords that stand inside of a row of "..": all others end it.
local values = {['nil'] = true, ['true'] = true, ['false'] = true, ['not'] = true}

-- Lua takes 200 ".." in a row, but half as many with what counts them in between.
local longest = 80

-- What stands behind < or > and is no string, or a short one.
local function isnumber(code, at)
  return find(code, '^%s*%-?%d[%w.]*%s*[%a),;}]', at) or find(code, '^%s*#%s*[%a_][%w_]*%s*[%a),;}]', at)
end

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

-- Returns the code with "a .. cat .. b" for "a .. b", "a < compared .. b" for "a < b", and "method(a)(b)" for "a:method(b)".
-- Nil for code that does not end where it should, or that names what only this puts there. A row of many ".." becomes
-- "row(a, b, c)".
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
  local rows = {}              -- rows of ".." by how deep they are in brackets: where they begin, and the edits for them
  local valued = false         -- the token before ends a value
  local function rowends()
    local row = rows[#open]
    rows[#open] = nil
    if not row or not valued or #row <= longest then return end
    for i = 1, #row do row[i].gone, row[i].text = 2, ',' end
    edits[#edits + 1] = {at = row.at, gone = 0, text = '(' .. rowname .. '('}
    edits[#edits + 1] = {at = ended, gone = 1, text = sub(code, ended, ended) .. '))'}
  end
  local function rowgoes(at)
    if not rows[#open] then rows[#open] = {at = at} end
  end
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
      if keywords[word] and not values[word] then
        rowends()
        valued = word == 'end'
      else
        -- A name behind a value begins the next statement.
        if valued and before ~= '.' and before ~= ':' then rowends() end
        rowgoes(at)
        valued = word ~= 'not'
      end
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
      rowgoes(at)
      before, valued = '', true
    elseif c == '.' or c == ':' then
      before = c
      colon = at
      if sub(code, at, at + 2) == '...' then
        rowgoes(at)
        to, from, before, valued = at + 2, nil, '', true
      elseif sub(code, at, at + 1) == '..' then
        to, from, before, valued = at + 1, nil, '', false
        local e = {at = at, gone = 0, text = '..' .. catname}
        edits[#edits + 1] = e
        local row = rows[#open]
        if row then row[#row + 1] = e end
      else
        rowgoes(at)
      end
    else
      before = ''
      if find(c, '[=~<>,;)%]}]') then rowends() else rowgoes(at) end
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
        if c == '<' or c == '>' then
          to = sub(code, at + 1, at + 1) == '=' and at + 1 or at
          if not isnumber(code, to + 1) then
            -- What follows may begin with a point.
            edits[#edits + 1] = {at = at, gone = to - at + 1, text = sub(code, at, to) .. comparedname .. '.. '}
          end
        end
      end
      valued = c == ')' or c == ']' or c == '}'
    end
    if not comment then
      if r and not r.at then r.at = at end
      ended = to
    end
    at = to + 1
  end
  rowends()
  while returns[1] do
    if #open ~= returns[#returns].depth then break end
    returned()
  end
  return edited(code, edits)
end

end
