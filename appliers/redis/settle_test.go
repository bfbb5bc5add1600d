package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// The connection breaks between EXEC and its reply: the transaction was executed, and only the replies are lost.
func TestCutBeforeReply(t *testing.T) {
	s := startServer(t)
	g := newGate(t, s.addr)
	b := openBackend(t, testConfig(g.addr()))
	mustApply(t, b, entry(1, op("INCR", "n")))
	g.set(func() {
		g.onDown = func(p []byte) bool {
			if !bytes.Contains(p, []byte("+QUEUED")) {
				return true
			}
			g.onDown = nil
			return false
		}
	})
	e := entry(2, op("INCR", "n"), op("SET", "k", "v", "PXAT", fmt.Sprint(ShiftMillis+5e12)))
	mustApply(t, b, e, entry(3))
	for i := range e.Commands {
		if !errors.Is(e.Commands[i].Err, raft.ErrReplyLost) {
			t.Errorf("command %d: %q %v", i, e.Commands[i].Reply, e.Commands[i].Err)
		}
	}
	if got := s.do(0, "GET", "n"); got != "$1\r\n2\r\n" {
		t.Errorf("n is %q", got)
	}
	if d, ok := b.Deadline(0, []byte("k")); !ok || d != 5e12 {
		t.Errorf("deadline %d %v", d, ok)
	}
}

// The connection breaks before EXEC arrives: the same call sends the entries again, and each is executed once.
func TestCutBeforeExec(t *testing.T) {
	s := startServer(t)
	g := newGate(t, s.addr)
	b := openBackend(t, testConfig(g.addr()))
	g.set(func() {
		// What the server says to that may be faster than the cut.
		g.onDown = func(p []byte) bool { return !bytes.Contains(p, []byte("xXEC")) }
	})
	for i := uint64(1); i <= 20; i++ {
		g.set(func() {
			g.onUp = func(p []byte) bool {
				at := bytes.Index(p, []byte("EXEC"))
				if at < 0 {
					return true
				}
				g.onUp = nil
				copy(p[at:], "x") // never a command EXEC
				return false
			}
		})
		e := entry(i, op("INCR", "n"))
		mustApply(t, b, e)
		if want := fmt.Sprintf(":%d\r\n", i); string(e.Commands[0].Reply) != want {
			t.Fatalf("entry %d: %q %v", i, e.Commands[0].Reply, e.Commands[0].Err)
		}
	}
}

// A transaction that is still under way on the old connection when the new one looks at the marker must never be
// executed any more.
func TestLateExecIsKilled(t *testing.T) {
	s := startServer(t)
	g := newGate(t, s.addr)
	cfg := testConfig(g.addr())
	cfg.ReplyTimeout = time.Second
	b := openBackend(t, cfg)
	old := b.conn
	g.set(func() { g.holdUp = true })
	e := entry(1, op("INCR", "n"))
	if err := b.Apply(context.Background(), []raft.Entry{e}); err == nil {
		t.Fatal("no error from a connection without progress")
	}
	if b.conn == old {
		t.Fatal("the connection is still used")
	}
	// The new connection goes past the gate; what the gate holds goes on afterwards.
	b.cfg.Addr = s.addr
	mustApply(t, b, e)
	g.set(func() { g.holdUp = false })
	time.Sleep(400 * time.Millisecond)
	if got := s.do(0, "GET", "n"); got != "$1\r\n1\r\n" {
		t.Errorf("n is %q", got)
	}
	mustApply(t, b, entry(2, op("INCR", "n")))
}

func TestHungServer(t *testing.T) {
	s := startServer(t)
	cfg := testConfig(s.addr)
	cfg.ReplyTimeout = time.Second
	b := openBackend(t, cfg)
	mustApply(t, b, entry(1, op("INCR", "n")))
	s.signal(syscall.SIGSTOP)
	e := entry(2, op("INCR", "n"))
	for range 2 {
		if err := b.Apply(context.Background(), []raft.Entry{e}); err == nil {
			t.Fatal("a hung server has answered")
		}
	}
	if b.Healthy() == nil {
		t.Error("healthy")
	}
	if _, _, err := b.Read(context.Background(), 0, command("GET", "n"), 1); err == nil {
		t.Error("read from a hung server")
	}
	s.signal(syscall.SIGCONT)
	for end := time.Now().Add(40 * time.Second); ; {
		err := b.Apply(context.Background(), []raft.Entry{e})
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if got := s.do(0, "GET", "n"); got != "$1\r\n2\r\n" {
		t.Errorf("n is %q, replies %q %v", got, e.Commands[0].Reply, e.Commands[0].Err)
	}
	if err := b.Healthy(); err != nil {
		t.Error(err)
	}
}

func TestApplyContextEnds(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	s.signal(syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	e := entry(1, op("INCR", "n"))
	if err := b.Apply(ctx, []raft.Entry{e}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	s.signal(syscall.SIGCONT)
	mustApply(t, b, e)
	if got := s.do(0, "GET", "n"); got != "$1\r\n1\r\n" {
		t.Errorf("n is %q", got)
	}
}

func TestRestartEmpty(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	entries := []raft.Entry{entry(1, op("INCR", "n")), entry(2, op("INCR", "n")), entry(3, op("INCR", "n"))}
	mustApply(t, b, entries...)
	if _, err := b.Query(context.Background(), 0, "GET", "n"); err != nil {
		t.Fatal(err)
	}
	s.restart()
	// A read must never see the empty server.
	for range 3 {
		_, err := b.Query(context.Background(), 0, "GET", "n")
		if err == nil {
			t.Fatal("read from an empty server")
		}
		if errors.Is(err, ErrBehind) {
			break
		}
	}
	if !errors.Is(b.Healthy(), ErrBehind) {
		t.Errorf("health: %v", b.Healthy())
	}
	var behind *raft.BehindError
	if err := b.Apply(context.Background(), nil); !errors.As(err, &behind) || behind.Position != (raft.Position{}) {
		t.Fatalf("got %v", err)
	}
	if _, err := b.Query(context.Background(), 0, "GET", "n"); !errors.Is(err, ErrBehind) {
		t.Errorf("read before it is filled: %v", err)
	}
	again := []raft.Entry{entry(1, op("INCR", "n")), entry(2, op("INCR", "n")), entry(3, op("INCR", "n")), entry(4, op("INCR", "n"))}
	if err := b.Apply(context.Background(), again[:2]); err != nil && !errors.As(err, &behind) {
		t.Fatal(err)
	}
	mustApply(t, b, again...)
	if got, err := b.Query(context.Background(), 0, "GET", "n"); err != nil || string(got) != "$1\r\n4\r\n" {
		t.Errorf("%q %v", got, err)
	}
	if err := b.Healthy(); err != nil {
		t.Error(err)
	}
}

// The backend is emptied or restarted between two calls, and no read meets it before it is filled again.
func TestFilledAgain(t *testing.T) {
	lose := map[string]func(s *server){
		"restarted": func(s *server) { s.restart() },
		"flushed":   func(s *server) { s.do(0, "FLUSHALL") },
	}
	for name, lose := range lose {
		for _, idle := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/idle=%v", name, idle), func(t *testing.T) {
				s := startServer(t)
				b := openBackend(t, testConfig(s.addr))
				mustApply(t, b, entry(1, op("INCR", "n")), entry(2, op("INCR", "n")))
				mustApply(t, b)
				lose(s)
				var next []raft.Entry
				if !idle {
					next = []raft.Entry{entry(3, op("INCR", "n"))}
				}
				var behind *raft.BehindError
				if err := b.Apply(context.Background(), next); !errors.As(err, &behind) || behind.Position != (raft.Position{}) {
					t.Fatalf("got %v", err)
				}
				mustApply(t, b, entry(1, op("INCR", "n")), entry(2, op("INCR", "n")))
				mustApply(t, b, entry(3, op("INCR", "n")))
				if got := s.do(0, "GET", "n"); got != "$1\r\n3\r\n" {
					t.Errorf("n is %q", got)
				}
			})
		}
	}
}

// Without its position, a backend that holds data is not touched any more.
func TestPositionDeleted(t *testing.T) {
	for _, entries := range [][]raft.Entry{nil, {entry(2, op("INCR", "n"))}} {
		s := startServer(t)
		b := openBackend(t, testConfig(s.addr))
		mustApply(t, b, entry(1, op("INCR", "n")))
		s.do(13, "DEL", markerKey)
		var fatal *raft.FatalError
		if err := b.Apply(context.Background(), entries); !errors.As(err, &fatal) || !strings.Contains(err.Error(), "lost its position") {
			t.Errorf("got %v", err)
		}
		if got := s.do(0, "GET", "n"); got != "$1\r\n1\r\n" {
			t.Errorf("n is %q", got)
		}
	}
}

func TestRestartOld(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	at := fmt.Sprint(ShiftMillis + 5e12)
	mustApply(t, b, entry(1, op("SET", "old", "v", "PXAT", at)), entry(2, op("INCR", "n")))
	s.do(0, "SAVE")
	mustApply(t, b, entry(3, op("INCR", "n")))
	s.restart()
	var behind *raft.BehindError
	err := b.Apply(context.Background(), []raft.Entry{entry(4, op("INCR", "n"))})
	if !errors.As(err, &behind) || behind.Position != (raft.Position{Term: 1, Index: 2}) {
		t.Fatalf("got %v", err)
	}
	mustApply(t, b, entry(3, op("INCR", "n")), entry(4, op("INCR", "n")))
	if got := s.do(0, "GET", "n"); got != "$1\r\n3\r\n" {
		t.Errorf("n is %q", got)
	}
	// A new process finds the position and the deadlines.
	c := newBackend(t, testConfig(s.addr))
	if p, err := c.Open(context.Background(), testID); err != nil || p.Index != 4 {
		t.Fatalf("%v %v", p, err)
	}
	if d, ok := c.Deadline(0, []byte("old")); !ok || d != 5e12 {
		t.Errorf("deadline %d %v", d, ok)
	}
}

// Two processes with the identity of one node: the first notices before it applies anything.
func TestTwoProcesses(t *testing.T) {
	s := startServer(t)
	a := openBackend(t, testConfig(s.addr))
	b := openBackend(t, testConfig(s.addr))
	mustApply(t, b, entry(1, op("INCR", "n")))
	var fatal *raft.FatalError
	if err := a.Apply(context.Background(), []raft.Entry{entry(1, op("INCR", "n"))}); !errors.As(err, &fatal) {
		t.Fatalf("got %v", err)
	}
	if got := s.do(0, "GET", "n"); got != "$1\r\n1\r\n" {
		t.Errorf("n is %q", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	_, bus := freePort(t) // the default is one that a client may have
	tests := []struct {
		name, want string
		args       []string
		prepare    func(s *server)
		change     func(c *Config)
	}{
		{name: "not empty", want: "holds data", prepare: func(s *server) { s.do(7, "SET", "k", "v") }},
		{name: "metadata not empty", want: "holds data", prepare: func(s *server) { s.do(13, "SET", "k", "v") }},
		{name: "library", want: "holds data", prepare: func(s *server) {
			s.do(0, "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 1 end)")
		}},
		{name: "other cluster", want: "another cluster", prepare: func(s *server) {
			s.do(13, "SET", markerKey, string(appendMarker(nil, raft.Identity{Cluster: 1, Node: 2}, raft.Position{})))
		}},
		{name: "other node", want: "two nodes on one backend", prepare: func(s *server) {
			s.do(13, "SET", markerKey, string(appendMarker(nil, raft.Identity{Cluster: testID.Cluster, Node: 2}, raft.Position{})))
		}},
		{name: "later marker", want: "no position this program wrote", prepare: func(s *server) { s.do(13, "SET", markerKey, "v2 x") }},
		{name: "maxmemory", want: "CONFIG SET maxmemory 0", args: []string{"--maxmemory", "100mb"}},
		{name: "databases", want: "has 13 databases", args: []string{"--databases", "13"}},
		{name: "replica", want: "REPLICAOF NO ONE", prepare: func(s *server) { s.do(0, "REPLICAOF", "127.0.0.1", "1") }},
		{name: "metadata in another database", want: "start it with -metadataDB 7, as before", prepare: func(s *server) {
			s.do(7, "SET", markerKey, string(appendMarker(nil, testID, raft.Position{})))
		}},
		{name: "password without one", want: "see -redisPassword", args: []string{"--requirepass", "secret"}},
		{name: "password", want: "NOAUTH", args: []string{"--requirepass", "secret"}},
		{name: "wrong password", want: "WRONGPASS", args: []string{"--requirepass", "secret"}, change: func(c *Config) { c.Password = "x" }},
		{name: "renamed", want: "does not know the command GETEX", args: []string{"--rename-command", "GETEX", "x"},
			change: func(c *Config) { c.Require = []CommandArity{{"get", 2}, {"getex", -2}} }},
		{name: "arity", want: "with arity 2, where 3 is known", change: func(c *Config) { c.Require = []CommandArity{{"get", 3}} }},
		{name: "renamed HELLO", want: "does not know the command HELLO", args: []string{"--rename-command", "HELLO", "x"}},
		{name: "cluster mode", want: "cluster", args: []string{"--cluster-enabled", "yes", "--cluster-port", bus}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, test.args...)
			if test.prepare != nil {
				test.prepare(s)
			}
			cfg := testConfig(s.addr)
			if test.change != nil {
				test.change(&cfg)
			}
			_, err := newBackend(t, cfg).Open(context.Background(), testID)
			var fatal *raft.FatalError
			if !errors.As(err, &fatal) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v", err)
			}
			t.Log(err)
		})
	}
}

func TestOpenUnreachable(t *testing.T) {
	cfg := testConfig("127.0.0.1:1")
	_, err := newBackend(t, cfg).Open(context.Background(), testID)
	var fatal *raft.FatalError
	if err == nil || errors.As(err, &fatal) {
		t.Errorf("got %v", err)
	}
}

func TestParseInfo(t *testing.T) {
	s := parseInfo([]byte("# Server\r\nredis_version:6.2.7\r\nrun_id:x\r\n# Keyspace\r\ndb0:keys=3,expires=2,avg_ttl=0\r\n"))
	if s.major() != 6 || s.runID != "x" || s.keys[0] != (keyspace{3, 2}) {
		t.Errorf("%+v", s)
	}
}

func TestClaimOnce(t *testing.T) {
	s := startServer(t)
	errs := make(chan error, 10)
	for i := range 10 {
		go func() {
			b, err := New(testConfig(s.addr))
			if err == nil {
				_, err = b.Open(context.Background(), raft.Identity{Cluster: 1, Node: uint64(i)})
				_ = b.Close()
			}
			errs <- err
		}()
	}
	won := 0
	for range 10 {
		if <-errs == nil {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d nodes claimed one backend", won)
	}
}
