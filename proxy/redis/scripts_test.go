package redis

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A deadline that a script gives reaches the index, to whatever key and however the script ends, and the key goes when it
// has come.
func TestScriptsDeadlines(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	for key, body := range map[string]string{
		"a": "redis.call('set', 'a', 'v', 'px', 300)",
		"b": "redis.call('set', 'b', 'v') redis.call('pexpire', 'b', 300) error('x')",
		"c": "redis.call('psetex', 'tmp', 300, 'v') redis.call('rename', 'tmp', 'c')",
		"d": "redis.call('set', 'd', 'v') redis.pcall('nosuch') redis.call('getex', 'd', 'px', 300)",
	} {
		c.do("EVAL", body, "0")
		if _, ok := p.store.Deadline(0, []byte(key)); !ok {
			t.Errorf("%s: no deadline in the index", body)
		}
	}
	c.do("EVAL", "redis.call('select', 3) redis.call('psetex', 'e', 300, 'v') redis.call('move', 'e', 4)", "0")
	if _, ok := p.store.Deadline(4, []byte("e")); !ok {
		t.Error("no deadline of the moved key")
	}
	c.cmd("MULTI")
	c.do("EVAL", "redis.call('psetex', KEYS[1], 300, 'v')", "1", "f")
	c.do("EVAL", "return 1", "0")
	c.cmd("EXEC")
	if _, ok := p.store.Deadline(0, []byte("f")); !ok {
		t.Error("no deadline of the key in the transaction")
	}
	c.do("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function(keys) return redis.call('psetex', 'g', 300, 'v') end)")
	want(t, c.do("FCALL", "f", "0"), "+OK\r\n")
	if _, ok := p.store.Deadline(0, []byte("g")); !ok {
		t.Error("no deadline of the function's key")
	}
	p.log.skew.Store(1000)
	for _, key := range []string{"a", "b", "c", "d", "f", "g"} {
		want(t, c.do("EVAL", "return redis.call('exists', KEYS[1])", "1", key), ":0\r\n")
	}
}

// A read-only script meets a key that is due.
func TestScriptsReadExpires(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("SET k v PX 30")
	for deadline := time.Now().Add(40 * time.Millisecond); time.Now().Before(deadline); {
		c.cmd("PING")
	}
	want(t, c.do("EVAL_RO", "return redis.call('exists', 'k')", "0"), ":0\r\n")
}

// Read-only scripts are reads: they add nothing to the log, but the body once.
func TestScriptsReadOnly(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("SET k v")
	body := "return redis.call('get', KEYS[1])"
	want(t, c.do("EVAL_RO", body, "1", "k"), "$1\r\nv\r\n")
	before := p.log.proposals.Load()
	for range 3 {
		want(t, c.do("EVAL_RO", body, "1", "k"), "$1\r\nv\r\n")
		want(t, c.do("EVALSHA_RO", sha1hex(body), "1", "k"), "$1\r\nv\r\n")
	}
	if n := p.log.proposals.Load() - before; n != 0 {
		t.Errorf("%d proposals of read-only scripts", n)
	}
	marked := "#!lua flags=no-writes\n" + body
	want(t, c.do("EVAL", marked, "1", "k"), "$1\r\nv\r\n")
	before = p.log.proposals.Load()
	want(t, c.do("EVAL", marked, "1", "k"), "$1\r\nv\r\n")
	want(t, c.do("EVALSHA", sha1hex(marked), "1", "k"), "$1\r\nv\r\n")
	if n := p.log.proposals.Load() - before; n != 0 {
		t.Errorf("%d proposals of a script that says it does not write", n)
	}
	c.cmd("SCRIPT FLUSH")
	if got := c.do("EVALSHA_RO", sha1hex(body), "1", "k"); !strings.HasPrefix(got, "-NOSCRIPT") {
		t.Errorf("%q", got)
	}
	want(t, c.do("EVAL_RO", body, "1", "k"), "$1\r\nv\r\n")
	want(t, c.do("EVALSHA_RO", sha1hex(body), "1", "k"), "$1\r\nv\r\n")
}

// Scripts and libraries are data: they are there after the backend has lost what it compiled, and FLUSHALL spares them.
func TestScriptsSurvive(t *testing.T) {
	p := startProxy(t)
	c, direct := dial(t, p.addr), dial(t, p.redis)
	body := "return redis.call('incr', KEYS[1])"
	want(t, c.do("EVAL", body, "1", "n"), ":1\r\n")
	want(t, c.do("FUNCTION", "LOAD", "#!lua name=l\nlocal n = 0\nredis.register_function('f', function() n = n + 1 return n end)"), "$1\r\nl\r\n")
	want(t, direct.cmd("DEBUG RELOAD"), "+OK\r\n")
	want(t, c.do("EVALSHA", sha1hex(body), "1", "n"), ":2\r\n")
	// What a function remembers in a variable would be another number where the server was started later.
	want(t, c.do("FCALL", "f", "0"), ":1\r\n")
	want(t, c.do("FCALL", "f", "0"), ":1\r\n")
	want(t, c.cmd("FLUSHALL"), "+OK\r\n")
	want(t, c.do("EVALSHA", sha1hex(body), "1", "n"), ":1\r\n")
	want(t, c.do("FCALL", "f", "0"), ":1\r\n")
	want(t, c.do("EVAL", "return redis.call('flushall')", "0"), "+OK\r\n")
	want(t, c.do("EVALSHA", sha1hex(body), "1", "n"), ":1\r\n")
	want(t, direct.cmd("DEBUG RELOAD"), "+OK\r\n")
	want(t, c.cmd("SCRIPT FLUSH"), "+OK\r\n")
	if got := c.do("EVALSHA", sha1hex(body), "1", "n"); !strings.HasPrefix(got, "-NOSCRIPT") {
		t.Errorf("%q", got)
	}
	want(t, c.cmd("FUNCTION FLUSH"), "+OK\r\n")
	want(t, direct.cmd("DEBUG RELOAD"), "+OK\r\n")
	want(t, c.do("FCALL", "f", "0"), "-ERR Function not found\r\n")
}

func TestScriptsPipelined(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	body := "return redis.call('incrby', KEYS[1], ARGV[1])"
	var request []byte
	for i := range 50 {
		request = appendRequest(request, "EVAL", body, "1", "n", strconv.Itoa(i))
		request = appendRequest(request, "SET", "k", strconv.Itoa(i))
		request = appendRequest(request, "EVALSHA", sha1hex("unknown"), "0")
		request = appendRequest(request, "EVAL", "return nosuch", "0")
		request = appendRequest(request, "EVAL_RO", "return redis.call('get', 'k')", "0")
	}
	c.send(request)
	sum := 0
	for i := range 50 {
		sum += i
		want(t, c.reply(), fmt.Sprintf(":%d\r\n", sum))
		want(t, c.reply(), "+OK\r\n")
		want(t, c.reply(), "-NOSCRIPT No matching script. Please use EVAL.\r\n")
		want(t, c.reply(), "-ERR user_script:1: Script attempted to access nonexistent global variable 'nosuch' script: "+
			sha1hex("return nosuch")+", on @user_script:1.\r\n")
		want(t, c.reply(), fmt.Sprintf("$%d\r\n%d\r\n", len(strconv.Itoa(i)), i))
	}
}

// Names are hidden wherever Lua sees one, whatever comes before it.
func TestScriptsHideNames(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	for _, body := range []string{
		"--x\rreturn redis.call('time')[1]",
		"--[x\nreturn redis.call('time')[1]",
		"--[[x]]return redis.call('time')[1]",
		"--[==[x]]\n]==]return redis.call('time')[1]",
		"local a='\\'' return redis.call('time')[1]",
		"local a=\"\\\\\" return redis.call('time')[1]",
		"local a='x\\\ny' return redis.call('time')[1]",
		"local a=[[x]=] ]] return redis.call('time')[1]",
		"local a=1e+1 return redis.call('time')[1]",
		"local a=0x1F;return redis.call('time')[1]",
		"return ''..redis.call('time')[1]",
		"local a = {} a[ [[x]] ]=1 return redis.call('time')[1]",
		"local s = 3 return string.sub(1 ..redis.call('time')[1], 2)",
		"return string.sub(0x1..redis.call('time')[1], 2)",
		"return string.sub(1e1 ..redis.call('time')[1], 3)",
		"return(redis).call('time')[1]",
		"local function f(--[[)]] a) return redis.call('time')[1] end return f()",
		"return _G['re'..'dis']['ca'..'ll']('time')[1]",
		"return loadstring('--\\rreturn redis')().call('time')[1]",
		"return (function() return redis end)().call('time')[1]",
	} {
		got := c.do("EVAL", body+"\n-- 'set' has it logged", "0")
		if now := strconv.FormatInt(p.log.stamp/1000, 10); got != "$10\r\n"+now+"\r\n" {
			t.Errorf("%q: %q, the leader's time is %s", body, got, now)
		}
		// The server's clock is not the leader's.
		p.log.skew.Add(100_000)
	}
}

// A reply that is nested as deeply as a server makes one.
func TestScriptsNested(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	body := "local t = {} t[1] = t return t"
	plain := dial(t, startRedis(t))
	want(t, c.do("EVAL", body, "0"), plain.do("EVAL", body, "0"))
	want(t, c.do("EVAL_RO", body, "0"), plain.do("EVAL", body, "0"))
}

// Scripts that came with EVAL go when there are too many; those of SCRIPT LOAD stay.
func TestScriptsPassing(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	want(t, c.do("EVAL", "return 'passing'", "0"), "$7\r\npassing\r\n")
	want(t, c.do("EVAL", "return 'loaded'", "0"), "$6\r\nloaded\r\n")
	want(t, c.do("SCRIPT", "LOAD", "return 'loaded'"), "$40\r\n"+sha1hex("return 'loaded'")+"\r\n")
	var request []byte
	for i := range 1000 {
		request = appendRequest(request, "EVAL", fmt.Sprint("return ", i), "0")
	}
	c.send(request)
	for range 1000 {
		c.reply()
	}
	if got := c.do("EVALSHA", sha1hex("return 'passing'"), "0"); !strings.HasPrefix(got, "-NOSCRIPT") {
		t.Errorf("%q", got)
	}
	want(t, c.do("EVALSHA", sha1hex("return 'loaded'"), "0"), "$6\r\nloaded\r\n")
	want(t, c.do("EVALSHA", sha1hex("return 0"), "0"), ":0\r\n")
	want(t, c.do("EVALSHA", sha1hex("return 999"), "0"), ":999\r\n")
	direct := dial(t, p.redis)
	direct.cmd("SELECT 13")
	want(t, direct.cmd("HLEN nexus.scripts"), ":1001\r\n")
	want(t, direct.cmd("LLEN nexus.scripts.passing"), ":1000\r\n")
}

// Somebody tries to kill a script of the log at one backend: it would not do there what it does elsewhere.
func TestScriptsOfTheLogCannotBeKilled(t *testing.T) {
	p := startProxy(t)
	c, direct := dial(t, p.addr), dial(t, p.redis)
	want(t, direct.cmd("CONFIG SET busy-reply-threshold 1"), "+OK\r\n")
	body := "for i = 1, 1e9 do pcall(function() end) end -- 'set'"
	c.do("SCRIPT", "LOAD", body)
	for tried := false; !tried; {
		c.send(appendRequest(nil, "EVALSHA", sha1hex(body), "0"))
		answered := make(chan string, 1)
		go func() {
			_ = c.conn.SetDeadline(time.Time{}) // a busy machine takes long for it
			answered <- c.reply()
		}()
		for got := ""; got == ""; {
			select {
			case got = <-answered:
				if !strings.Contains(got, "has run for too long") {
					t.Fatalf("%q", got)
				}
				continue
			default:
			}
			switch killed := direct.cmd("FUNCTION KILL"); {
			case strings.HasPrefix(killed, "-UNKILLABLE"):
				tried = true
			case !strings.HasPrefix(killed, "-NOTBUSY"):
				t.Fatalf("%q", killed)
			}
		}
	}
}

// INFO counts the scripts of the cluster.
func TestCachedScriptsAreCounted(t *testing.T) {
	c := dial(t, startProxy(t).addr)
	count := func(want string) {
		t.Helper()
		if info := c.cmd("INFO memory"); !strings.Contains(info, "\r\nnumber_of_cached_scripts:"+want+"\r\n") {
			t.Errorf("INFO does not count %s scripts", want)
		}
	}
	count("0")
	c.do("SCRIPT", "LOAD", "return 1")
	c.do("EVAL", "return 2", "0")
	count("2")
	c.cmd("SCRIPT FLUSH")
	count("0")
}

// EVALSHA of a script that says that it does not write costs no entry, and cannot write, on a node that knows it and on one
// that does not.
func TestReadOnlyScriptsByTheirSHA1(t *testing.T) {
	p := startProxy(t)
	c, plain := dial(t, p.addr), dial(t, startRedis(t))
	body := "#!lua flags=no-writes\nreturn redis.call(ARGV[1], 'k', ARGV[2])"
	for _, to := range []*client{c, plain} {
		to.do("SCRIPT", "LOAD", body)
		to.cmd("SET k v")
	}
	for _, known := range []bool{true, false} {
		before := p.log.proposals.Load()
		for _, args := range [][]string{
			{sha1hex(body), "0", "getrange"}, {sha1hex(body), "0", "exists", "x"}, {strings.ToUpper(sha1hex(body)), "0", "exists", "x"},
			{sha1hex(body), "0", "set", "w"}, {strings.ToUpper(sha1hex(body)), "0", "append", "w"},
		} {
			args = append([]string{"EVALSHA"}, args...)
			want(t, c.do(args...), plain.do(args...))
		}
		if n := p.log.proposals.Load(); n != before {
			t.Errorf("%d entries for reads, known %t", n-before, known)
		}
		p.server.scripts.forget(sha1hex(body))
	}
	for _, line := range []string{"MULTI", "EVALSHA " + sha1hex(body) + " 0 set w", "EVALSHA " + sha1hex(body) + " 0 exists x", "EXEC", "GET k"} {
		want(t, c.cmd(line), plain.cmd(line))
	}
}
