package redis

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Clients that log in together while the node learns what the log has of them are all clients that have logged in: none is
// limited in what it sends, or closed for not having logged in, because another one was a moment later.
func TestUsersAreLearntTogether(t *testing.T) {
	p := startProxy(t)
	want(t, dial(t, p.addr).cmd("ACL SETUSER default >secret"), replyOK)
	for range 5 {
		late := p.again(t, func(c *Config) { c.Limits.UnauthMaxBulk = 100 })
		const clients = 40
		var wg sync.WaitGroup
		var asked atomic.Int64
		all := make(chan struct{})
		p.log.readFails = func() error {
			if asked.Add(1) == clients {
				close(all)
			}
			<-all
			return nil
		}
		list := make([]*client, clients)
		for i := range list {
			list[i] = dial(t, late.addr)
		}
		for _, c := range list {
			wg.Go(func() { want(t, c.cmd("AUTH secret"), replyOK) })
		}
		wg.Wait()
		p.log.readFails = nil
		for i, c := range list {
			if got := c.do("ECHO", strings.Repeat("x", 1000)); !strings.HasPrefix(got, "$1000\r\n") {
				t.Fatalf("client %d: %.100s", i, got)
			}
		}
		for _, s := range late.server.sessionList() {
			if since := s.strangerFor(time.Now()); since != 0 {
				t.Fatalf("a client that has logged in counts as one that has not, for %v", since)
			}
		}
	}
}

// onlySession returns the one session that there is, when its goroutine does nothing.
func onlySession(p *proxy) *session {
	s := p.server.sessionList()[0]
	for s.state.Load() != stateIdle {
		time.Sleep(time.Millisecond)
	}
	return s
}

// What a node learns of users between a client's command and the look at it concerns that command already: a client of a
// cluster without users is never told to log in.
func TestUsersAreLearntMeanwhile(t *testing.T) {
	p := startProxy(t)
	for _, name := range []string{"get", "ping"} {
		late := p.again(t)
		c := dial(t, late.addr)
		want(t, c.cmd("PING"), "+PONG\r\n")
		if err := late.server.learnUsers(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := onlySession(late)
		if !s.awaitUsers(name) || !s.authenticated {
			t.Errorf("%s: a client of a cluster without users has to log in", name)
		}
	}
	// Nor is it between that look and the answer.
	late := p.again(t)
	c := dial(t, late.addr)
	want(t, c.cmd("PING"), "+PONG\r\n")
	s := onlySession(late)
	if !s.awaitUsers("ping") {
		t.Fatal("PING waits for a quorum")
	}
	if err := late.server.learnUsers(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := late.server.table.Lookup([][]byte{[]byte("PING")}, late.server.policyContext)
	if s.rejects(redconCommand([]byte("*1\r\n$4\r\nPING\r\n"), [][]byte{[]byte("PING")}), d) {
		t.Errorf("%q", s.out)
	}
}
