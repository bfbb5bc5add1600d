package redis

import (
	"fmt"
	"strings"
	"testing"
)

// Scripts and functions that do not write are reads, also where they do not say so.
func TestScriptsThatOnlyReadCostNoEntry(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("SET k v")
	lib := "#!lua name=lib\nredis.register_function('get', function(keys) return redis.call('get', keys[1]) end)"
	want(t, c.do("FUNCTION", "LOAD", lib), "$3\r\nlib\r\n")
	body := "return redis.call('get', KEYS[1])"
	want(t, c.do("EVAL", body, "1", "k"), "$1\r\nv\r\n")
	before := p.log.proposals.Load()
	want(t, c.do("EVAL", body, "1", "k"), "$1\r\nv\r\n")
	want(t, c.do("EVALSHA", sha1hex(body), "1", "k"), "$1\r\nv\r\n")
	want(t, c.do("FCALL", "get", "1", "k"), "$1\r\nv\r\n")
	if n := p.log.proposals.Load() - before; n != 0 {
		t.Errorf("%d proposals", n)
	}
}

// A script that turns out to write runs once, from the log, in its place among the other commands.
func TestScriptsTriedThatWrite(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	lib := "#!lua name=lib\nredis.register_function('run', function(_, args) return redis.call(unpack(args)) end)"
	want(t, c.do("FUNCTION", "LOAD", lib), "$3\r\nlib\r\n")
	for _, call := range [][]string{
		{"EVAL", "return redis.call(ARGV[1], ARGV[2])", "0", "incr", "n"},
		{"EVAL", "local ok, r = pcall(redis.call, ARGV[1], ARGV[2]) return r", "0", "incr", "n"},
		{"EVAL", "local r = redis.pcall(ARGV[1], ARGV[2]) for i = 1, 10 do pcall(function() end) end return r", "0", "incr", "n"},
		{"FCALL", "run", "0", "incr", "n"},
		{"EVALSHA", sha1hex("return redis.call(ARGV[1], ARGV[2])"), "0", "incr", "n"},
	} {
		for round := range 2 {
			c.cmd("SET n 10")
			request := appendRequest(nil, "GET", "n")
			request = appendRequest(request, call...)
			request = appendRequest(request, "GET", "n")
			request = appendRequest(request, call...)
			before := p.log.proposals.Load()
			c.send(request)
			want(t, c.reply(), "$2\r\n10\r\n")
			want(t, c.reply(), ":11\r\n")
			want(t, c.reply(), "$2\r\n11\r\n")
			want(t, c.reply(), ":12\r\n")
			if n := p.log.proposals.Load() - before; round == 1 && n != 2 {
				t.Errorf("%q: %d proposals", call, n)
			}
		}
	}
	for _, call := range [][]string{
		{"EVAL", "return redis.call(ARGV[1])", "0", "nosuch"},
		{"EVAL", "return redis.call(ARGV[1], 'n', 'x', 'y', 'z')", "0", "get"},
	} {
		if got := c.do(call...); !strings.HasPrefix(got, "-ERR ") || !strings.Contains(got, "on @user_script:1.") {
			t.Errorf("%q: %q", call, got)
		}
	}
}

// A script that is tried ends where it would write, also if it does not hear of errors.
func TestScriptsTriedEndAtTheFirstWrite(t *testing.T) {
	p := startProxy(t)
	c, backend := dial(t, p.addr), dial(t, p.redis)
	c.cmd("SET n 0")
	calls := func() (n int) {
		_, rest, _ := strings.Cut(backend.cmd("INFO commandstats"), "cmdstat_strlen:calls=")
		if _, err := fmt.Sscanf(rest, "%d,", &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	c.cmd("STRLEN n")
	before := calls()
	body := "for i = 1, 100 do pcall(redis.call, ARGV[1], 'n') redis.pcall('strlen', 'n') end return redis.call('strlen', 'n')"
	want(t, c.do("EVAL", body, "0", "incr"), ":3\r\n")
	if n := calls() - before; n != 101 {
		t.Errorf("STRLEN was called %d times, want 101", n)
	}
}

// busyProxy is a proxy whose backend is busy with what c1 has sent.
func busyProxy(t *testing.T, call ...string) (p *proxy, c1, c2 *client) {
	t.Helper()
	p = startProxy(t)
	c1, c2 = dial(t, p.addr), dial(t, p.addr)
	want(t, c2.do("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('forever', function() while true do end end)"), "$3\r\nlib\r\n")
	want(t, c2.cmd("CONFIG SET lua-time-limit 5"), "+OK\r\n")
	c1.send(appendRequest(nil, call...))
	for {
		switch got := c2.cmd("PING"); {
		case strings.HasPrefix(got, "-BUSY "):
			return p, c1, c2
		case got != "+PONG\r\n":
			t.Fatalf("%q", got)
		}
	}
}

// While a read keeps the backend busy, clients of the node are told, and can kill it.
func TestScriptKill(t *testing.T) {
	for _, body := range []string{"while true do end", "while true do pcall(redis.call, 'ping') end"} {
		_, c1, c2 := busyProxy(t, "EVAL", body, "0")
		want(t, c2.cmd("MULTI"), "+OK\r\n")
		want(t, c2.cmd("SET k v"), "-"+errTextBusyScript+"\r\n")
		want(t, c2.cmd("EXEC"), "-EXECABORT Transaction discarded because of: "+errTextBusyScript+"\r\n")
		want(t, c2.cmd("FUNCTION KILL"), "-"+errTextBusyScript+"\r\n")
		want(t, c2.cmd("SCRIPT KILL"), "+OK\r\n")
		want(t, c1.reply(), "-ERR Script killed by user with SCRIPT KILL.\r\n")
		want(t, c1.cmd("SET k w"), "+OK\r\n")
		want(t, c2.cmd("GET k"), "$1\r\nw\r\n")
		want(t, c2.do("EVAL", "return redis.call('incr', 'n')", "0"), ":1\r\n")
		want(t, c2.cmd("SCRIPT KILL"), "-NOTBUSY No scripts in execution right now.\r\n")
	}
}

func TestFunctionKill(t *testing.T) {
	_, c1, c2 := busyProxy(t, "FCALL", "forever", "0")
	want(t, c2.cmd("SCRIPT KILL"), "-"+errTextBusyFunction+"\r\n")
	if got := c2.cmd("FUNCTION STATS"); !strings.HasPrefix(got, "*4\r\n$14\r\nrunning_script\r\n*6\r\n$4\r\nname\r\n$7\r\nforever\r\n$7\r\ncommand\r\n*3\r\n$5\r\nFCALL\r\n") {
		t.Errorf("%q", got)
	}
	want(t, c2.cmd("FUNCTION KILL"), "+OK\r\n")
	want(t, c1.reply(), "-ERR Script killed by user with SCRIPT KILL.\r\n")
	want(t, c2.cmd("PING"), "+PONG\r\n")
	want(t, c2.cmd("FUNCTION KILL"), "-NOTBUSY No scripts in execution right now.\r\n")
}
