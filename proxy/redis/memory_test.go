package redis

import (
	"strings"
	"testing"
)

// TestMemoryLimit has the same commands with a limit that is exceeded as a plain redis-server: the node keeps it, and the
// backend never gets it.
func TestMemoryLimit(t *testing.T) {
	p := startProxy(t)
	ours, plain := dial(t, p.addr), dial(t, startRedis(t))
	both := func(args ...string) {
		t.Helper()
		if got, want := ours.do(args...), plain.do(args...); got != want {
			t.Errorf("%q\nNexus %q\nRedis %q", args, got, want)
		}
	}
	library := func(name, flags string) string {
		return "#!lua name=" + name + "\nredis.register_function{function_name='" + name +
			"', callback=function(k) return redis.call('get', k[1]) end, flags={" + flags + "}}"
	}
	both("SET", "k", "v")
	both("FUNCTION", "LOAD", library("writes", ""))
	both("FUNCTION", "LOAD", library("reads", "'no-writes'"))
	both("FUNCTION", "LOAD", library("always", "'allow-oom'"))
	both("CONFIG", "SET", "maxmemory", "1")
	both("CONFIG", "GET", "maxmemory")
	if info := ours.cmd("INFO memory"); !strings.Contains(info, "\r\nmaxmemory:1\r\n") {
		t.Errorf("INFO does not tell of the limit: %q", info)
	}
	both("CONFIG", "SET", "maxmemory", "bla")
	both("CONFIG", "SET", "maxmemory", "7", "maxmemory-clients", "200%")
	for _, args := range [][]string{
		{"SET", "k", "w"}, {"GET", "k"}, {"LPUSH", "l", "x"}, {"SORT", "k", "STORE", "d"}, {"XADD", "s", "*", "a", "b"}, {"EXPIRE", "k", "100"},
		{"FUNCTION", "LOAD", library("more", "")}, {"FCALL", "writes", "1", "k"}, {"FCALL", "reads", "1", "k"}, {"FCALL", "always", "1", "k"},
		{"EVAL", "return redis.call('get', KEYS[1])", "1", "k"}, {"EVAL", "\nreturn redis.call('set', KEYS[1], 'w')", "1", "k"},
		{"EVAL", "#!lua\nreturn 1", "0"}, {"EVAL", "#!lua flags=no-writes\nreturn 1", "0"}, {"EVAL_RO", "return 1", "0"},
		{"EVAL", "#!lua flags=allow-oom\nreturn redis.call('set', KEYS[1], 'w')", "1", "k"},
		{"MULTI"}, {"SET", "k", "x"}, {"EXEC"}, {"MULTI"}, {"GET", "k"}, {"EXEC"}, {"DEL", "k"},
	} {
		both(args...)
	}
	both("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "100gb")
	both("CONFIG", "GET", "maxmemory")
	both("CONFIG", "SET", "maxmemory", "0")
	both("MULTI")
	both("SET", "k", "x")
	other := dial(t, p.addr)
	other.cmd("CONFIG SET maxmemory 1")
	plain.do("GET", "k")
	want(t, ours.cmd("EXEC"), "-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.\r\n")
	want(t, dial(t, p.redis).cmd("CONFIG GET maxmemory"), "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n")
}
