package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/script"
)

// What a script does in one go takes steps for its work and its memory, so that it ends, at the same place on two servers of
// which one has another history. On a plain server most of these take for ever, or all memory, or crash it.
func TestScriptsBounds(t *testing.T) {
	s, cluster := newLuaScripts(t)
	s.host.lib = script.NewLibrary(16, 13, 1_000_000)
	for i := range 200 {
		must(cluster.servers[1].raw(appendRequest(nil, "EVAL", fmt.Sprint("return string.rep('x', 10000) .. ", i), "0")))(t)
	}
	doubling := "local s = 'x' " + strings.Repeat("s = s .. s ", 40) + "return #s"
	for _, statement := range []string{
		"return #string.rep('x', 2^31)",
		"return #('x'):rep(2^31)",
		"local s = 'x' return #s:rep(2^31)",
		"return #string.rep('', 2^31)",
		"local t = {s = 'abc'} return #t.s:sub(1, 2):upper():rep(2^30)",
		"local t = {} for i = 1, 1e6 do t[i] = pcall(string.rep, 'x' .. i, 2^20) end return 1",
		doubling,
		"local s = 'x' for i = 1, 64 do s = s .. s end return #s",
		"local s = 'x' for i = 1, 64 do s = 'a' .. s .. 'b' .. s end return #s",
		"local s = 'x' local function f() s = s .. s return f() end return f()",
		"local t = {} for i = 1, 1e9 do t[i] = {} end",
		"local t = {} for i = 1, 5e5 do t[i] = {{}, {}, {}, {}, {}, {}, {}, {}} end",
		"local t = {} for i = 1, 9e5 do t[i] = function() return i end end",
		"local t = {} for i = 1, 5e5 do t[i] = coroutine.wrap(function() end) end",
		"local t, s = {}, ('x'):rep(100000) for i = 1, 10000 do t[i] = s end return #table.concat(t)",
		"local s = ('x'):rep(200000) return #string.format(('%s'):rep(200), unpack((function() local t = {} for i = 1, 200 do t[i] = s end return t end)()))",
		"local t = {} for i = 1, 1e6 do t[i] = ('x'):rep(1000):sub(i % 100) .. i end",
		"return #(('a'):rep(20000):gsub('a', ('b'):rep(20000)))",
		"return #(('a'):rep(20000):gsub('a', '%0%0%0%0%0%0%0%0'):gsub('.*', ('%0'):rep(5000)))",
		"local r = ('b'):rep(20000) return #(('a'):rep(20000):gsub('a', function() return r end))",
		"local r = ('b'):rep(20000) return #(('a'):rep(20000):gsub('a', {a = r}))",
		"return string.find(('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40))",
		"return string.find(('a'):rep(500), ('a*'):rep(20) .. 'b')",
		"return (('a'):rep(500)):match(('(.-)'):rep(20) .. 'b')",
		"for x in (('a'):rep(100000)):gmatch('a-b') do end",
		"return string.find(('('):rep(100000), '%b()')",
		"return string.find(('a'):rep(100000), '(a*)%1b')",
		"return string.find(('a'):rep(100000), ('a'):rep(50000) .. 'b', 1, true)",
		"local t = {} for i = 1, 30 do t = {t, t} end return #cjson.encode(t)",
		"local t = {} for i = 1, 12 do t = {t, t, t, t, t, t, t, t} end return #cmsgpack.pack(t)",
		"local t = {} for i = 1, 9e5 do table.insert(t, 1, i) end",
		"local t = {} for i = 1, 5e5 do t[i] = -i end for i = 1, 10 do table.sort(t) end",
		"local function f(...) return {...} end local a, t = {}, {} for i = 1, 7000 do a[i] = i end for i = 1, 1e5 do t[i] = f(unpack(a)) end",
		"local function f(...) local t = {} for i = 1, 1e5 do t[i] = {...} end end local a = {} for i = 1, 7000 do a[i] = i end f(unpack(a))",
		"for i = 1, 1e5 do local f = loadstring('return ' .. ('1+'):rep(1000) .. i) end",
		"local d = '[' .. ('{},'):rep(300000) .. '1]' local t = {} for i = 1, 100 do t[i] = cjson.decode(d) end",
		"local d = '\\220\\255\\255' .. ('\\144'):rep(65535) local t = {} for i = 1, 1000 do t[i] = cmsgpack.unpack(d) end",
		"for i = 1, 1000 do redis.call('rpush', 'l', ('v'):rep(1000) .. i) end local t = {} for i = 1, 1e5 do t[i] = redis.call('lrange', 'l', 0, -1) end",
		"redis.call('set', 'big', ('x'):rep(1000000)) local t = {} for i = 1, 1e5 do t[i] = redis.call('getrange', 'big', i, -1) end",
		"local t = {} for i = 1, 1e4 do t[i] = i end for i = 1, 1e5 do for k in pairs(t) do break end end",
		"local n, s = 0, ('a'):rep(10000) while true do n = n + #redis.sha1hex(s) end",
		"local s, t = ('a'):rep(100000), {} for i = 1, 1e5 do t[i] = s s = struct.pack('s', s) end",
		"local s = '' for i = 1, 20000 do s = s .. i end local t = {} for i = 1, 1e4 do t[i] = struct.unpack('c50000', s, i) end",
		"local s = ('x'):rep(1000000) for i = 1, 1e4 do struct.size(s) end",
		"local e, t, _ = ('x'):rep(100000), {} for i = 1, 1e5 do _, e = pcall(function() error(e) end) t[i] = e end",
		"local f = loadstring('return \"' .. ('x'):rep(100000) .. '\"') for i = 1, 1e5 do string.dump(f) end",
	} {
		got := saveText(s, statement)
		if !strings.Contains(got, "nexus: the script was stopped") {
			t.Errorf("%.200s\n %.300s", statement, got)
		}
		compareData(t, cluster, statement)
	}
	// A pattern that calls itself for each of its items would take the stack of the server.
	got := saveText(s, "return string.find(('a'):rep(100000), ('a?'):rep(100000))")
	if !strings.Contains(got, "the pattern is too complex") {
		t.Errorf("a long pattern: %s", got)
	}
	for i, server := range cluster.servers {
		info := must(server.raw(appendRequest(nil, "INFO", "server")))(t)
		_, pid, _ := strings.Cut(info, "process_id:")
		pid, _, _ = strings.Cut(pid, "\r")
		status, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			t.Skip(err)
		}
		var most int
		_, peak, _ := strings.Cut(string(status), "VmHWM:")
		if _, err := fmt.Sscan(peak, &most); err != nil || most > 1<<20 {
			t.Errorf("server %d has used %d kB (%v)", i, most, err)
		}
	}
}

// Work that grows with the length of strings takes as many steps: a script that repeats it ends after few rounds.
func TestScriptsBoundsOfLongStrings(t *testing.T) {
	s, cluster := newLuaScripts(t)
	s.host.lib = script.NewLibrary(16, 13, 1_000_000)
	const strs = "local a, b = ('9'):rep(100000) .. 'a', ('9'):rep(100000) .. 'b' "
	for _, work := range []string{
		"local x = a < b", "local x = a > b", "local x = a <= b", "local x = not (a>=b)", "if a < b and b <= a then end",
		"local x = 'a' .. a < 'a' .. b", "local t = {a<b}", "pcall(function() return a < b end)",
		"pcall(loadstring('local a, b = ... return a < b'), a, b)",
		"tonumber(a)", "tonumber(a, 16)", "local f = tonumber f(a, 10)", "pcall(tonumber, a)",
		"table.sort({a, b, a, b})", "table.sort({a, b}, function(x, y) return x < y end)",
		"redis.call('echo', a)", "redis.pcall('echo', a)", "redis.call('exists', 1, 2, 3, 4, a)", "redis.call('exists', 1, 2, a)",
		"redis.call('exists', unpack({a, a, a, a, a, a, a, a, a, a}))", "pcall(redis.call, 'set', 'long', a)",
	} {
		got := saveText(s, strs+"for i = 1, 1e9 do redis.call('set', 'rounds', i) "+work+" end")
		if !strings.Contains(got, "nexus: the script was stopped") {
			t.Errorf("%s: %.300s", work, got)
		}
		reply := must(cluster.servers[0].raw(appendRequest(nil, "GET", "rounds")))(t)
		var rounds int
		if _, err := fmt.Sscanf(reply, "$%d\r\n%d", new(int), &rounds); err != nil || rounds > 400 {
			t.Errorf("%s: %d rounds (%v)", work, rounds, err)
		}
		compareData(t, cluster, work)
	}
	// What one call would take is taken before it: the server would need a copy of each argument.
	got := saveText(s, "local t, a = {}, ('x'):rep(1e7) for i = 1, 7000 do t[i] = a end return redis.pcall('exists', unpack(t))")
	if !strings.Contains(got, "nexus: the script was stopped") {
		t.Errorf("many long arguments: %.300s", got)
	}
}

// What is counted gives the same as on a plain server: the steps of these are few.
func TestScriptsCountedAreTheSame(t *testing.T) {
	p := startProxy(t)
	ours, plain := dial(t, p.addr), dial(t, startRedis(t))
	for _, body := range []string{
		"local s = 'a' .. 1 .. 2.5 .. 'b' return s .. s",
		"return 1 .. 2",
		"local a, b = 'x', 'y' return {a..b, a..b..a, (a..b)..(b..a), a..(b..a), #(a..b), -1 .. '', not (a..b == 'xy')}",
		"local o = setmetatable({}, {__concat = function(a, b) return (type(a) == 'table' and 'o' or a) .. '+' .. (type(b) == 'table' and 'o' or b) end}) return {o .. 'x', 'x' .. o, o .. o, 'a' .. o .. 'b', 1 .. o}",
		"return pcall(function() return 'a' .. nil end)",
		"return {pcall(function() return {} .. 'a' end)}",
		"return {pcall(function() return 'a' .. {} .. 'b' end)}",
		"\nlocal x = 1\nreturn 'a' .. nil",
		"local t = {find = function(self, x) return x .. 'mine' end, n = {'str'}} return {t:find('a'), t.n[1]:upper(), t:find'b', (t.n[1]):rep(2), ('%d'):format(7)}",
		"local s = 'Hello World' return {s:lower(), s:upper():reverse(), s:sub(-5):rep(2, 3), s:len(), s:byte(), s:gsub('o', '0')}",
		"local s = 'k=v, a=b' local t = {} for k, v in s:gmatch('(%w+)=(%w+)') do t[#t + 1] = k .. v end return t",
		"local f = function(s) return s:upper() end return f'x':lower() .. f[[y]]:rep(2)",
		"local s = 'x' return s --[[c]] : rep (3)",
		"return ('x'):rep(2):upper():lower():rep(2)",
		"local a = {b = {c = 'v'}} return a.b['c']:rep(3):find('v', 2, true)",
		"return {('abc'):find('b'), ('abc'):find('(b)(c)'), ('abc'):match('()b()'), ('abc'):find('', 10), ('abc'):find('b', -1), ('abc'):find('c', -1)}",
		"return {string.gsub('hello world', 'o', 'x', 1), string.gsub('abc', '%w', '%0%0'), string.gsub('abc', '%w', '%%'), string.gsub('abc', '', '-')}",
		"return {string.gsub('abc', '%w*', 'x'), string.gsub('abc', '^a', 'x'), string.gsub('hello', 'l', {l = 'L'}), string.gsub('hello', '(h)(e)', function(a, b) return b .. a end)}",
		"return {string.format('%5.1f|%-5s|%q|%x|%%', 3.14159, 'ab', 'a\\nb', 255), string.format('%s %s', 1, true and 'x')}",
		"return {table.concat({1, 2, 'x'}, ', ', 2, 3), table.concat({}), #table.concat({'a', 'b'}, '')}",
		"local t = {1, 2, 3} table.insert(t, 4) table.insert(t, 1, 0) local r = table.remove(t) local q = table.remove(t, 1) t[#t + 1] = r t[#t + 1] = q return t",
		"local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t",
		"return {pcall(table.sort, {1, 'a', 2})}",
		"return {pcall(table.sort, {1, 2, 3}, function() error('mine') end)}",
		"return {pcall(table.sort, {1, 2, 3}, function() error({'mine'}) end)}",
		"return {pcall(string.rep)}", "return {pcall(string.rep, 'x', 'y')}", "return {pcall(string.find, 'x')}",
		"return {pcall(string.gsub, 'x', 'x', true)}", "return {pcall(string.gsub, 'x', '(', 'y')}", "return {pcall(string.find, 'x', '[')}",
		"return {pcall(table.concat, {1, {}, 3})}", "return {pcall(string.format, '%d', 'x')}", "return {pcall(string.format, '%s')}",
		"return {pcall(table.insert, {})}", "table.insert({}, 1, 2, 3)", "table.insert({})", "local t = {} table.insert(t, 'x', 2)", "return {pcall(table.concat)}", "return {pcall(unpack)}",
		"return string.rep()", "return ('x'):rep()", "return ('x'):find()", "return table.concat({{}})", "\nreturn string.format('%d', 'x')",
		"return string.gsub('abc', 'b', function() return {} end)", "return string.gsub('abc', 'b', function() error('mine') end)",
		"string.rep = 1", "table.concat = 1", "return string.nosuch", "local x = string.nosuch return x('a')", "return ('x'):nosuch()",
		"local t = {} return t:rep(2)",
		"return {cjson.encode({1, {a = 'b'}}), cjson.decode('[1,{\"a\":2}]')[2].a, cmsgpack.unpack(cmsgpack.pack({1, 'x'}))}",
		"return {pcall(cjson.decode, '{')}", "return {pcall(cjson.encode, function() end)}", "return {pcall(cjson.encode)}",
		"return {pcall(cmsgpack.unpack, '\\220')}", "return {struct.unpack('>I2', struct.pack('>I2', 5))}", "return {pcall(struct.pack, 'z')}",
		"return {unpack({1, 2, 3}, 2)}", "return {unpack({1, 2, 3}, 2, 2)}", "return #{unpack({}, 1, 100)}",
		"return {unpack({1, 2, 3}, -2, 2147483647)}", "return {unpack({1, 2, 3}, -2147483648, -2)}", "return {pcall(unpack, {}, 1, 8001)}",
		"local c = coroutine.create(function(a) local b = coroutine.yield(a) return b end) return {select(2, coroutine.resume(c, 1)), select(2, coroutine.resume(c, 2)), coroutine.status(c)}",
		"return {pcall(coroutine.wrap)}", "return redis.sha1hex('')", "return {pcall(redis.sha1hex)}",
		"local t = {} for i = 1, 3 do t[i] = {i, {i}, n = i} end return {t[3][2][1], t[3].n}",
		"local function f(...) local t = {...} for i = 1, 2 do t[#t + 1] = select('#', ...) end return t end return f('a', 'b')",
		"local t = {f = function(self, ...) return {...} end} return t:f(1, 2)",
		"local i = 0 repeat local t = {i, {i}} i = i + #t until i > 3 return i",
		"local function f(...) local n = 0 for i = 1, arg.n do n = n + arg[i] end return {n, #arg} end return f(1, 2, 3)",
		"local function f(...) local g = function(...) return ... end return {arg.n, g(7)} end return f(1, 2)",
		"local function f(...) for i = 1, 2 do local t = {i, ...} if i == 2 then return {#t, arg == nil} end end end return f(1, 2)",
		"local s = 'x' return {s:\nrep(2), s:--[[c]] rep(2), s: -- c\nrep'2'}",
		"local t = {sub = 1} return t:sub()",
		"local p = ('a'):rep(400) local s = p:rep(50) .. 'b' return {s:gsub(p, ('c'):rep(400)), s:gsub(p, ('%0'):rep(3), 2)}",
		"error('x', 2)", "error('x', 0)", "error('x', 'y')", "error()", "error({err = 'a b'})", "return error('x')", "return {pcall(error)}", "return {pcall(error, 'x', 2)}",
		"local function f() error('q', 2) end\nlocal function g()\nf() end\nreturn {pcall(g)}", "local function f() return error('q') end\nlocal function g()\nf() end\nreturn {pcall(g)}",
		"return {pcall(struct.unpack, 'I4', 'x')}", "return struct.unpack('I4', 'x')", "\nstruct.pack('q', 1)", "return struct.size('I4I2')", "return {struct.unpack('s', 'abc\\0d')}",
		"return {tonumber('7'), tonumber(' 0x10 '), tonumber('z', 36), tonumber('x') == nil, tonumber(nil) == nil, tonumber({}) == nil, tonumber(true) == nil, tonumber('8', nil)}",
		"return {pcall(tonumber)}", "return {pcall(tonumber, 'x', 99)}", "return {pcall(tonumber, nil, 10)}", "\nlocal x = tonumber()", "return {pcall(tonumber, '1', 'x')}", "return tonumber('1', 1)",
		"return {pcall(function() return 1 < 'x' end)}", "return {pcall(function() return {} < {} end)}", "\nlocal x = nil\nreturn x <\n 5", "return nil >= 1", "return 'a' <= 1",
		"local a, b, t = 1, 2, {1, 2} local o = {n = 3} return {a < b, a<b, a>b, a<=b, a >= b, not(a<b), a < -b, -a < b, a+1 < b*2, a < #t, #t > a, a < 5, a < 5 + b, 2^a < b^2, a < o.n, o.n<t[1], a < tonumber('7'), (a) < (b), a < b == true, a ~= b, a == b, 1 < 2 and 3 or 4}",
		"return {'a' < 'b', 'a'<'a\\0', 'b' .. 'a' < 'b' .. 'b', 'a' < 'b' .. 'c', '10' < '9', 'x' < [[y]], #'ab' < #'abc' .. '' + 0, 1 < '2' + 3, '1' < 1 .. '', 'a' < tostring('b'):rep(2)}",
		"local m = {__lt = function(a, b) return a.v < b.v end, __le = function(a, b) return a.v <= b.v end, __concat = function() return 'c' end} local a, b = setmetatable({v = 1}, m), setmetatable({v = 2}, m) return {a < b, a > b, a <= b, b >= a, a .. b < 'd', 'b' < a .. b}",
		"local x = 1 return {x<.5, x>.5, x<=.5, x >=.5, -x<-.5, 'a'<'b', x< .5 + 1}", "local function f(...) return {1<..., 1>=..., ...<2, 1 < ... == true} end return f(2)",
		"local i, n = 0, 10 while i<n do i = i + 1 if i >5 then break end end return i", "local i = 0 repeat i = i + 1 until i>=5 return i", "for i = 1, 3 do if i>2 then return i end end",
		"local t = {'b', 'a', 'c'} table.sort(t) return t", "local t = {3, 1, 2} table.sort(t, function(x, y) return x>y end) return t", "return {pcall(table.sort, {1, {}})}", "return {pcall(table.sort, {'a', {}}, nil)}",
		"return {pcall(string.dump, 1)}", "string.dump()", "\nlocal s = tostring()",
	} {
		want(t, ours.do("EVAL", body, "0"), plain.do("EVAL", body, "0"))
		if t.Failed() {
			t.Fatalf("%s", body)
		}
	}
}

// Rows of as many .. as Lua compiles.
func TestScriptsLongRows(t *testing.T) {
	p := startProxy(t)
	ours, plain := dial(t, p.addr), dial(t, startRedis(t))
	row := func(n int, operand string) string { return strings.Repeat(operand+" .. ", n) + operand }
	bare := strings.Repeat("a..", 150) + "a"
	object := "local m m = {__concat = function(x, y) return (type(x) == 'table' and 'o' or x) .. '+' .. (type(y) == 'table' and 'o' or y) end} local a, o = 'a', setmetatable({}, m) "
	for _, body := range []string{
		"local a = 'a' return " + row(180, "a"),
		"local a = 'a' return #(" + row(180, "a") + ")",
		"local a = 'a' local b = " + bare + " local c = " + row(97, "b") + " return {#b, c < b .. 'a', b == c}",
		"local a = 'a' local b = " + bare + " a = b return a",
		"local a = 'a' local b = " + bare + "(function() a = 'x' end)() return {a, b}",
		"local a = 'a' local s = a .. a s = " + bare + " s = s:upper() return s",
		"local a = 'a' return {" + bare + ", " + bare + " ; x = 1, [1 + 1] = 'k' .. 1, " + row(100, "a:upper()") + "}",
		"local a = 'a' return {" + bare + " < " + bare + ", " + bare + " == " + bare + ", not (" + bare + " <= a .. 'b') or 'y'}",
		"local t = {a = {'x', f = function(s) return s end}} return " + row(30, "t.a[1] .. -1 .. #t .. t.a.f'z' .. (t.a.f(2 + 3 * 4) .. ''):rep(1 + 1)"),
		"local a = 'a' local function f() return " + bare + " end local function g() do return (" + bare + ") end end return {f(), g()}",
		"local a = 'a' if " + bare + " then return " + row(120, "(a .. a)") + " end",
		"local a = 'a' -- c\nlocal b = " + row(120, "a --[[ .. ]]\n") + "\nreturn b",
		"return " + row(150, "'x'") + " .. (nil)", "return {pcall(function() local b = " + row(150, "'x'") + " .. ({}) .. " + row(5, "'x'") + " end)}",
		object + "return " + row(100, "a") + " .. o", object + "return o .. " + row(100, "a"), object + "return " + row(60, "a") + " .. o .. " + row(60, "a"),
		"return " + row(120, "1"), "return " + row(60, "'a' .. 1.5"), "local a = 'a' local s = " + bare + "\n(function() end)()",
		"local a = 'a' return select('#', " + bare + ", " + bare + ")", "local a = 'a' for k in pairs({[" + bare + "] = 1}) do return k end",
	} {
		want(t, ours.do("EVAL", body, "0"), plain.do("EVAL", body, "0"))
		if t.Failed() {
			t.Fatalf("%s", body)
		}
	}
	s, cluster := newLuaScripts(t)
	s.host.lib = script.NewLibrary(16, 13, 1_000_000)
	statement := "local s = ('x'):rep(10000) for i = 1, 1e9 do redis.call('set', 'rounds', i) local r = i .. " + row(100, "s") + " end"
	if got := saveText(s, statement); !strings.Contains(got, "nexus: the script was stopped") {
		t.Errorf("%.300s", got)
	}
	reply := must(cluster.servers[0].raw(appendRequest(nil, "GET", "rounds")))(t)
	var rounds int
	if _, err := fmt.Sscanf(reply, "$%d\r\n%d", new(int), &rounds); err != nil || rounds > 40 {
		t.Errorf("%d rounds (%v)", rounds, err)
	}
}

// What is kept of patterns must not take much memory of a server, whatever scripts look for.
func TestScriptsKeepLittleOfPatterns(t *testing.T) {
	s, cluster := newLuaScripts(t)
	saveText(s, "local p = ('.'):rep(190) for i = 1, 200 do string.find('x', p .. i) end return 1")
	info := must(cluster.servers[0].raw(appendRequest(nil, "INFO", "memory")))(t)
	_, field, ok := strings.Cut(info, "used_memory_vm_functions:")
	var used int
	if _, err := fmt.Sscan(field, &used); !ok || err != nil || used > 64<<20 {
		t.Errorf("%d bytes for functions (%v)", used, err)
	}
}

// Searches that the server is not left with have the results of the server.
func TestScriptsSearches(t *testing.T) {
	p := startProxy(t)
	lib := script.NewLibrary(16, 13, script.Steps)
	code := strings.Replace(lib.Code, "local enough = 100000", "local enough = -1", 1)
	if code == lib.Code {
		t.Fatal("searches cannot be kept from the server")
	}
	lib.Code = code
	p.server.scripts.lib = lib
	ours, plain := dial(t, p.addr), dial(t, startRedis(t))
	const body = `local s, p, r = ARGV[1], ARGV[2], ARGV[3]
local out = {}
local function add(...)
  for i = 1, select('#', ...) do out[#out + 1] = tostring((select(i, ...))) end
  out[#out + 1] = '|'
end
add(string.find(s, p)) add(string.find(s, p, 3)) add(s:match(p, -4)) add(s:match(p))
local n = 0
for a, b in s:gmatch(p) do add(a, b) n = n + 1 if n > 50 then break end end
add(s:gsub(p, r)) add(s:gsub(p, r, 2)) add(s:gsub(p, function(a, b) return b end)) add(s:gsub(p, {a = 'AA', ab = false, [1] = 'one'}))
return out`
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	for range 3000 {
		subject, pattern := "", pick("", "", "", "^")
		for range random.IntN(12) {
			subject += pick("a", "b", "c", "1", " ", "(", ")", "-", "\x00", "\xff", "ab", "aa", "^", "$", "]")
		}
		captures := 0
		for range random.IntN(6) {
			one := pick("a", "b", ".", "%a", "%d", "[ab]", "[^a]", "[%w-]", "[]]", "[^]a]", "%(", "%.", " ", "%z", "$", "^", "]", "-a", "[a-c]")
			switch random.IntN(8) {
			case 0:
				pattern += "(" + one + pick("", "*", "+", "-", "?") + ")"
				captures++
			case 1:
				pattern += pick("%b()", "%f[%w]", "%f[^a]", "()")
				if strings.HasSuffix(pattern, "()") && !strings.HasSuffix(pattern, "%b()") {
					captures++
				}
			case 2:
				if captures > 0 {
					pattern += "%1"
				}
			default:
				pattern += one + pick("", "", "*", "+", "-", "?")
			}
		}
		pattern += pick("", "", "", "$")
		replacement := pick("x", "", "%0", "<%0>", "%%", "%1")
		if captures == 0 && replacement == "%1" {
			replacement = "y"
		}
		args := []string{"EVAL", body, "0", subject, pattern, replacement}
		got, expected := ours.do(args...), plain.do(args...)
		bothFail := strings.HasPrefix(got, "-") && strings.HasPrefix(expected, "-")
		if got != expected && !bothFail {
			t.Fatalf("%q in %q, for %q\n got %q\nwant %q", pattern, subject, replacement, got, expected)
		}
	}
}

// Nothing is counted that depends on what a server has done before: neither kept patterns nor kept scripts.
func TestScriptsCountTheSame(t *testing.T) {
	s, cluster := newLuaScripts(t)
	s.host.lib = script.NewLibrary(16, 13, 50_000)
	const statement = `local n = 0
local function work(i)
  local s = ('key:' .. i):rep(3)
  for k, v in s:gmatch('(%a+):(%d+)') do n = n + #k + #v end
  n = n + #s:gsub('%d', '%0%0') + #cjson.encode({s, {n}}) + #table.concat({s, s}, ',')
  redis.call('set', 'n', i)
  return work(i + 1)
end
return work(1)`
	for i := range 20 {
		if i%3 == 0 {
			must(cluster.servers[1].raw(appendRequest(nil, "DEBUG", "RELOAD")))(t)
		}
		if got := saveText(s, statement); !strings.Contains(got, "nexus: the script was stopped") {
			t.Fatal(got)
		}
		compareData(t, cluster, statement)
	}
	if _, err := s.Load(context.Background(), []byte("return 1"), nil); err != nil {
		t.Fatal(err)
	}
}
