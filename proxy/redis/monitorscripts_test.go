package redis

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// What a script or function of a client calls is shown behind its own line, and nothing that belongs to other commands.
func TestMonitorShowsWhatScriptsCall(t *testing.T) {
	p := startProxy(t)
	m, c := dial(t, p.addr), dial(t, p.addr)
	c.do("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function(k, a) return redis.call('append', k[1], a[1]) end)")
	want(t, m.cmd("MONITOR"), replyOK)
	for _, command := range [][]string{
		{"XADD", "s", "*", "f", "v"},
		{"EVAL", "redis.call('set', KEYS[1], ARGV[1]) redis.call('expire', KEYS[1], 100)", "1", "k", "v\n"},
		{"FCALL", "f", "1", "k", "x"},
		{"EVAL_RO", "return redis.call('get', KEYS[1])", "1", "k"},
	} {
		c.do(command...)
	}
	line := regexp.MustCompile(`^\+\d+\.\d{6} \[0 lua\] (.*)\r\n$`)
	var calls []string
	for len(calls) == 0 || !strings.HasPrefix(calls[len(calls)-1], `"get"`) {
		if parts := line.FindStringSubmatch(m.reply()); parts != nil {
			calls = append(calls, parts[1])
		}
	}
	want := []string{`"set" "k" "v\n"`, `"pexpireat" "k" `, `"append" "k" "x"`, `"get" "k"`}
	for i := range max(len(calls), len(want)) {
		if i >= len(calls) || i >= len(want) || !strings.HasPrefix(calls[i], want[i]) {
			t.Fatalf("scripts called\n%s\nwant\n%s", strings.Join(calls, "\n"), strings.Join(want, "\n"))
		}
	}
	// The node does not listen to the backend for nobody.
	_ = m.conn.Close()
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(time.Millisecond) {
		monitors := &p.server.monitors
		monitors.mu.Lock()
		following := monitors.following
		monitors.mu.Unlock()
		if !following {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the backend is followed though nobody monitors")
		}
	}
}

// A connection that was made while the last client left would be read for nobody until the node ends.
func TestMonitorForNobody(t *testing.T) {
	p := startProxy(t)
	if lines := p.server.dialMonitor(); lines != nil {
		t.Error("the backend is followed though nobody monitors")
	}
}
