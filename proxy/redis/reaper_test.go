package redis

import (
	"testing"
	"time"
)

// A client is idle from its last reply on: a command may take longer than the limit.
func TestIdleSinceTheReply(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.IdleTimeout = time.Hour })
	c := dial(t, p.addr)
	want(t, c.cmd("PING"), "+PONG\r\n")
	sess := p.server.sessionList()[0]
	p.log.proposeFails = func([][]byte) error {
		// As if this had begun long ago.
		sess.lastActive.Store(time.Now().Add(-2 * time.Hour).UnixNano())
		if list := p.server.overdue(time.Now()); len(list) != 0 {
			t.Error("a client is overdue while it is served")
		}
		return nil
	}
	want(t, c.cmd("SET a 1"), "+OK\r\n")
	sess.awaitIdle(t)
	now := time.Now()
	if list := p.server.overdue(now); len(list) != 0 {
		t.Error("a client is overdue that has just been answered")
	}
	if list := p.server.overdue(now.Add(2 * time.Hour)); len(list) != 1 {
		t.Errorf("%d clients are overdue after two hours, want 1", len(list))
	}
}

func (s *session) awaitIdle(tb testing.TB) {
	tb.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for s.state.Load() != stateIdle {
		if time.Now().After(deadline) {
			tb.Fatal("the session does not become idle")
		}
		time.Sleep(time.Millisecond)
	}
}
