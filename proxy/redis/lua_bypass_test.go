package redis

import (
	"strings"
	"testing"
)

// Every way known to make two replicas differ is refused, or answers the same on two servers with different hash seeds,
// addresses and histories (the cluster of the test says DIVERGED otherwise).
func TestScriptsBypass(t *testing.T) {
	s, cluster := newLuaScripts(t)
	// Another history on one of them: chance, garbage, settings that outlive a script.
	other := "math.random() math.random() local t = {} for i = 1, 20000 do t[i] = {} end cjson.encode_max_depth(2) return 1"
	if reply, err := cluster.servers[1].raw(appendRequest(nil, "EVAL", other, "0")); err != nil || string(reply) != ":1\r\n" {
		t.Fatalf("%q %v", reply, err)
	}
	fill := "for i = 1, 600 do redis.call('sadd', 's', 'm' .. i) redis.call('hset', 'h', 'f' .. i, i) redis.call('zadd', 'z', i, 'm' .. i) end return 1"
	if got := saveText(s, fill); got != "1" {
		t.Fatal(got)
	}
	const refused = "cannot be used in a replicated script"
	const hidden = "a nil value"
	for _, tc := range []struct{ statement, want string }{
		{"return redis.call('TIME')", refused},
		{"return redis.call('time')", refused},
		{"return redis.pcall('tImE')", refused},
		{"return _G.redis.call('TIME')", refused},
		{"return rawget(_G, 'redis').call('TIME')", refused},
		{"return _G._G._G.redis.call('TIME')", refused},
		{"return loadstring('return redis')().call('TIME')", refused},
		{"return _G.loadstring('return redis')().call('TIME')", refused},
		{"return load(function() return 'return redis' end)", refused},
		{"return coroutine.wrap(function() return redis.call('TIME') end)()", refused},
		{"return coroutine.wrap(loadstring)('return redis')", refused},
		{"return select(2, pcall(loadstring, 'return redis'))", refused},
		{"return select(2, xpcall(function() return redis.call('time') end, function(e) return e.err or e end))", refused},
		{"return getfenv(1)", hidden},
		{"return setfenv(1, {})", hidden},
		{"return debug.getregistry()", hidden},
		{"return os.time()", hidden},
		{"return io.open('/etc/hostname')", hidden},
		{"return require('os')", hidden},
		{"return package.loaded", hidden},
		{"return newproxy(true)", hidden},
		{"return print(1)", hidden},
		{"return server.call('TIME')", hidden},
		{"return __redis__err__handler('x')", hidden},
		{"return getmetatable(_G)", "<nil>"},
		{"return getmetatable('')", "<nil>"},
		{"return getmetatable('').__index.dump", hidden},
		{"return setmetatable('', {})", "bad argument"},
		{"return string.dump(function() end)", hidden},
		{"return (...).call('TIME')", refused},
		{"return select(2, ...).dump", "<nil>"},
		{"local _ENV = {} return redis.call('TIME')", refused},
		{"local r = redis r.call = nil return r.call('TIME')", hidden},
		{"string.lower = function() return 'get' end return redis.call('TIME')", refused},
		{"table.sort = nil pairs = nil return redis.call('TIME')", refused},
		{"return redis.call('time\\0x')", refused},
		{"return redis.call(' time')", refused},
		{"return redis.call('get\\0', 'a')", refused},
		{"return redis.call(setmetatable({}, {__tostring = function() return 'time' end}))", "must be strings or integers"},
		{"return redis.call(7)", "Unknown Redis command"},

		{"return math.random()", refused},
		{"math.randomseed(1)", refused},
		{"return _G.math.random()", refused},
		{"return redis.call('spop', 's')", refused},
		{"return redis.call('srandmember', 's')", refused},
		{"return redis.call('randomkey')", refused},
		{"return redis.call('zrandmember', 'z')", refused},
		{"return redis.call('hrandfield', 'h')", refused},

		{"return tostring({})", "table"},
		{"return tostring(tostring)", "function"},
		{"return _G.tostring(print)", "nil"},
		{"return '' .. {}", "attempt to concatenate"},
		{"return string.format('%s', {})", "bad argument"},
		{"return select(2, pcall(error, {}))", ""},
		{"return select(2, pcall(redis.call, 'set', 'k', 'v', {}))", "must be strings or integers"},
		{"return select(2, pcall(redis.call, 'xadd', 'k', {}, 'f', 'v'))", "must be strings or integers"},
		{"return redis.pcall('xgroup', {}, 'k')", refused},
		{"local t = {[{}] = 1, [{}] = 2} for k, v in pairs(t) do return v end", refused},
		{"local t = {[{}] = 1, [print or 1] = 2} return next(t)", refused},
		{"return next({a = 1, b = 2}, 'a')", refused},
		{"table.foreach({[{}] = 1}, function() return 1 end)", refused},
		{"return cmsgpack.pack({[{}] = 1, [{}] = 2})", refused},
		{"return cmsgpack.pack({{x = {[{}] = 1}}})", refused},
		{"return cjson.encode({[{}] = 1, x = pairs})", refused},
		{"return setmetatable({}, {__mode = 'k'})", refused},
		{"local m = {} local t = setmetatable({}, m) m.__mode = 'k' getmetatable(t).__mode = 'k' t[{}] = 1 for i = 1, 1e5 do local x = {} end return rawequal(m, getmetatable(t)) and 1", "1"},
		{"return collectgarbage('count')", "0"},
		{"return gcinfo()", "0"},
		{"return cjson.encode({{{{1}}}})", ""}, // The setting of the other history shows here: see below.
		{"return cjson.encode_max_depth(1)", hidden},
		{"return cjson.new()", hidden},
		{"bit.x = 1 return 1", "1"},
		{"return bit.x", "<nil>"},
		{"rawset(_G, 'leak', 1) return 1", "1"},
		{"return _G.leak", "<nil>"},
		{"return redis.REDIS_VERSION", "<nil>"},
		{"return redis.setresp(3)", refused},
		{"redis.set_repl(0)", refused},
		{"return redis.acl_check_cmd('get', 'x')", refused},
		{"return redis.breakpoint()", hidden},

		{"return redis.call('set', 'k', 'v', 'EX', 10)", refused},
		{"return redis.call('set', 'k', 'v', 'px\\0zz', 10)", refused},
		{"return redis.call('set', 'k', 'v', 'NX', 'pxat', 10)", refused},
		{"return redis.call('set', 'k', 'v', 'exat', 10)", refused},
		{"return redis.call('setex', 'k', 10, 'v')", refused},
		{"return redis.call('psetex', 'k', 10, 'v')", refused},
		{"return redis.call('expire', 'k', 10)", refused},
		{"return redis.call('pexpireat', 'k', 10)", refused},
		{"return redis.call('getex', 'k', 'persist')", refused},
		{"return redis.call('ttl', 'k')", refused},
		{"return redis.call('pexpiretime', 'k')", refused},
		{"return redis.call('rename', 'k', 'k2')", refused},
		{"return redis.call('renamenx', 'k', 'k2')", refused},
		{"return redis.call('copy', 'k', 'k2')", refused},
		{"return redis.call('move', 'k', 3)", refused},
		{"return redis.call('restore', 'k', 0, 'x')", refused},
		{"return redis.call('select', 13)", refused},
		{"return redis.call('swapdb', 0, 13)", refused},
		{"return redis.call('flushall')", refused},
		{"return redis.call('flushdb')", refused},
		{"return redis.call('scan', 0)", refused},
		{"return redis.call('hscan', 'h', 0)", refused},
		{"return redis.call('dump', 's')", refused},
		{"return redis.call('object', 'encoding', 's')", refused},
		{"return redis.call('memory', 'usage', 's')", refused},
		{"return redis.call('publish', 'c', 'm')", refused},
		{"return redis.call('sort', 's', 'by', 'w_*', 'alpha', 'store', 'd')", refused},
		{"return redis.call('sort_ro', 's', 'alpha')", refused},
		{"return redis.call('xadd', 'x', '*', 'f', 'v')", refused},
		{"return redis.call('xadd', 'x', '5-*', 'f', 'v')", refused},
		{"return redis.call('xadd', 'x', '*\\0', 'f', 'v')", refused},
		{"return redis.call('xadd', 'x', 'maxlen', '~', 10, '1-1', 'f', 'v')", refused},
		{"return redis.call('xadd', 'x', 'maxlen', '~\\0', 10, '1-1', 'f', 'v')", refused},
		{"return redis.call('xtrim', 'x', 'maxlen', '~', 10)", refused},
		{"return redis.call('xreadgroup', 'group', 'g', 'c', 'streams', 'x', '>')", refused},
		{"return redis.call('xclaim', 'x', 'g', 'c', 0, '1-1')", refused},
		{"return redis.call('xautoclaim', 'x', 'g', 'c', 0, 0)", refused},
		{"return redis.call('xgroup', 'createconsumer', 'x', 'g', 'c')", refused},
		{"return redis.call('xread', 'block', 1, 'streams', 'x', '0')", refused},
		{"return redis.call('blpop', 'l', 1)", refused},
		{"return redis.call('config', 'get', 'port')", refused},
		{"return redis.call('eval', 'return 1', 0)", refused},
		{"return redis.call('nosuchcommand')", refused},
		{"end return redis.call('time')", "Error compiling script"},
		{"\x1bLua", "Error compiling script"},
		{"#!lua flags=no-writes\nreturn 1", "Error compiling script"},
	} {
		got := saveText(s, tc.statement)
		if strings.Contains(tc.statement, "{{{{1}}}}") {
			// The server itself was tampered with, which only its own clients can do: this must show as a difference.
			if !strings.Contains(got, "DIVERGED") {
				t.Errorf("the second server was not given another history: %q", got)
			}
			continue
		}
		if !strings.Contains(got, tc.want) || strings.Contains(got, "DIVERGED") || strings.Contains(got, "0x") {
			t.Errorf("%s\n got %q\nwant %q", tc.statement, got, tc.want)
		}
	}
}

// Every global of the server is either hidden or one of those that are the same everywhere and keep no state.
func TestScriptsGlobals(t *testing.T) {
	safe := " assert error ipairs pcall rawequal rawget rawset select tonumber type unpack xpcall _VERSION "
	s := startLuaServers(t, 1)[0]
	list := "local r = {} for k in pairs(_G) do r[#r + 1] = k end return r"
	reply, err := s.raw(appendRequest(nil, "EVAL", list, "0"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := replyText(reply)
	if err != nil {
		t.Fatal(err)
	}
	start := strings.Index(luaShim, "'local redis,")
	prefix := luaShim[start : start+strings.Index(luaShim[start:], "= ...;")]
	names := strings.FieldsFunc(prefix, func(r rune) bool { return strings.ContainsRune(" ,'.", r) })
	hidden := " " + strings.Join(names, " ") + " "
	for _, name := range strings.Fields(strings.Trim(string(text), "[]")) {
		if !strings.Contains(safe, " "+name+" ") && !strings.Contains(hidden, " "+name+" ") {
			t.Errorf("global %s of this redis-server is visible to statements", name)
		}
	}
}

// The text that a backend compiles and keeps is the same for every statement.
func TestScriptsCacheDoesNotGrow(t *testing.T) {
	s, cluster := newLuaScripts(t)
	for _, statement := range []string{"return 1", "return 2", "return 3"} {
		saveText(s, statement)
	}
	info, err := cluster.servers[0].raw(appendRequest(nil, "INFO", "memory"))
	if err != nil || !strings.Contains(string(info), "number_of_cached_scripts:1\r\n") {
		t.Errorf("want one cached script: %v\n%s", err, info)
	}
}
