package redis

import (
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/script"
)

// TestScriptsFidelity compares scripts and functions behind the proxy with those of a plain redis-server, byte for byte.
func TestScriptsFidelity(t *testing.T) {
	lines, commands := readCorpus(t, "testdata/scripts.txt")
	if len(commands) < 400 {
		t.Fatalf("the corpus has %d commands", len(commands))
	}
	p := startProxy(t)
	got, plain := dial(t, p.addr), dial(t, startRedis(t))
	for i, args := range commands {
		want := plain.do(args...)
		if reply := got.do(args...); reply != want {
			t.Errorf("%s\n  proxy %q\n  redis %q", lines[i], reply, want)
		}
	}
}

// Dumps go both ways between the proxy and a plain redis-server.
func TestFunctionDump(t *testing.T) {
	p := startProxy(t)
	ours, plain := dial(t, p.addr), dial(t, startRedis(t))
	code := func(name, function string) string {
		return "#!lua name=" + name + "\nredis.register_function('" + function + "', function(keys, args) return args[1] end)"
	}
	for _, c := range []*client{ours, plain} {
		c.do("FUNCTION", "LOAD", code("one", "f1"))
		c.do("FUNCTION", "LOAD", code("two", "f2")+strings.Repeat(" -- a comment that compresses well", 1000))
	}
	for from, to := range map[*client]*client{ours: plain, plain: ours} {
		dump, ok := replyBulk([]byte(from.do("FUNCTION", "DUMP")))
		if !ok {
			t.Fatalf("FUNCTION DUMP: %q", dump)
		}
		want(t, to.do("FUNCTION", "RESTORE", string(dump)), to.do("FUNCTION", "RESTORE", string(dump), "APPEND"))
		want(t, to.do("FUNCTION", "RESTORE", string(dump), "REPLACE"), "+OK\r\n")
		want(t, to.do("FUNCTION", "FLUSH"), "+OK\r\n")
		want(t, to.do("FCALL", "f1", "0", "x"), "-ERR Function not found\r\n")
		want(t, to.do("FUNCTION", "RESTORE", string(dump)), "+OK\r\n")
		want(t, to.do("FCALL", "f1", "0", "x"), "$1\r\nx\r\n")
		want(t, to.do("FUNCTION", "RESTORE", string(dump), "FLUSH"), "+OK\r\n")
		want(t, to.do("FCALL", "f2", "0", "y"), "$1\r\ny\r\n")
		dump[3]++
		want(t, to.do("FUNCTION", "RESTORE", string(dump)), "-ERR DUMP payload version or checksum are wrong\r\n")
	}
	for _, line := range []string{"FUNCTION LIST LIBRARYNAME one WITHCODE", "FUNCTION STATS"} {
		want(t, ours.cmd(line), plain.cmd(line))
	}
	ours.cmd("HELLO 3")
	plain.cmd("HELLO 3")
	described := "#!lua name=three\nredis.register_function{function_name='f3', callback=function() end, flags={'no-writes'}, description='d'}"
	ours.do("FUNCTION", "LOAD", described)
	plain.do("FUNCTION", "LOAD", described)
	for _, line := range []string{"FUNCTION LIST LIBRARYNAME three WITHCODE", "FUNCTION LIST LIBRARYNAME o*", "FUNCTION STATS", "MODULE LIST"} {
		want(t, ours.cmd(line), plain.cmd(line))
	}
}

// What kills a plain redis-server is only an error here.
func TestScriptsCrash(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	for _, body := range []string{"error({})", "error({err={}})", "error({err=true})", "local t = setmetatable({}, {}) error(t)", "return coroutine.wrap(function() error({}) end)()"} {
		want(t, c.do("EVAL", body, "0"), "-ERR unknown error script: "+sha1hex(body)+", on @user_script:1.\r\n")
	}
	want(t, c.do("EVAL", "local t = {} t[1] = t return pcall(function() error({code=5}) end)", "0"), "$-1\r\n")
	want(t, c.do("EVAL", "local ok, e = pcall(function() error({code=5}) end) return e.code", "0"), ":5\r\n")
	want(t, c.do("PING"), "+PONG\r\n")
}

// A script that does not end is stopped, by every replica at the same step, also if it catches errors.
func TestScriptsEndless(t *testing.T) {
	p := startProxy(t)
	p.server.scripts.lib = script.NewLibrary(16, 13, 100_000)
	c := dial(t, p.addr)
	for _, body := range []string{
		"while true do end",
		"redis.call('set', 'k', 'v') repeat until false",
		"local function f() return f() end return f()",
		"while true do pcall(function() while true do end end) end",
		"local x = loadstring('while true do end')() return x",
		"for i = 1, 1e300 do local x = i end",
		"while true do redis.call('incr', 'n') end",
	} {
		got := c.do("EVAL", body, "0")
		if !strings.Contains(got, "nexus: the script was stopped") || !strings.Contains(got, "script: "+sha1hex(body)+", on @user_script:1.") {
			t.Errorf("%s: %q", body, got)
		}
	}
	want(t, c.do("GET", "k"), "$1\r\nv\r\n")
	for _, code := range []string{"#!lua name=l\nwhile true do end"} {
		if got := c.do("FUNCTION", "LOAD", code); !strings.Contains(got, "FUNCTION LOAD timeout") {
			t.Errorf("%s: %q", code, got)
		}
	}
	want(t, c.do("SCRIPT", "KILL"), "-NOTBUSY No scripts in execution right now.\r\n")
}

func sha1hex(s string) string {
	sum := sha1.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}
