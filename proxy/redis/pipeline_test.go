package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/raft"
)

func TestMixedPipelineKeepsItsOrder(t *testing.T) {
	p := startProxy(t)
	p.log.readTwice.Store(true) // what was read before the last call must not be seen
	c := dial(t, p.addr)
	var request []byte
	var expect strings.Builder
	for i := range 500 {
		v := fmt.Sprint(i)
		request = appendRequest(request, "SET", "k", v)
		request = appendRequest(request, "GET", "k")
		request = appendRequest(request, "PING", v)
		request = appendRequest(request, "SELECT", fmt.Sprint(i%3))
		request = appendRequest(request, "INCR", "n")
		request = appendRequest(request, "GET", "n")
		request = appendRequest(request, "TTL", "k")
		fmt.Fprintf(&expect, "+OK\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n+OK\r\n:%d\r\n", len(v), v, len(v), v, i/3+1)
		n := fmt.Sprint(i/3 + 1)
		ttl := -1
		if i == 1 || i == 2 {
			ttl = -2 // the first SET there comes with the next round
		}
		fmt.Fprintf(&expect, "$%d\r\n%s\r\n:%d\r\n", len(n), n, ttl)
	}
	got := make(chan string, 1)
	go func() {
		var b strings.Builder
		for range 500 * 7 {
			b.WriteString(c.reply())
		}
		got <- b.String()
	}()
	c.send(request)
	exp := expect.String()
	if g := <-got; g != exp {
		for i := range g {
			if i >= len(exp) || g[i] != exp[i] {
				t.Fatalf("differs at %d: got %q, want %q", i, g[max(i-60, 0):min(i+60, len(g))], exp[max(i-60, 0):min(i+60, len(exp))])
			}
		}
	}
}

func TestWritesAreProposedTogetherAndBounded(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.MaxPipelineCommands = 10; c.MaxPipelineBytes = 1000 })
	c := dial(t, p.addr)
	c.send(pipeline(100, "INCR", "n"))
	for i := range 100 {
		want(t, c.reply(), fmt.Sprintf(":%d\r\n", i+1))
	}
	if n := p.log.maxCommands.Load(); n > 10 || n < 5 {
		t.Errorf("up to %d commands were proposed together, want at most 10", n)
	}
	before := p.log.proposals.Load()
	c.send(pipeline(4, "SET", "k", strings.Repeat("x", 400)))
	for range 4 {
		want(t, c.reply(), replyOK)
	}
	if n := p.log.proposals.Load() - before; n < 2 {
		t.Errorf("%d proposals, want at least 2", n)
	}
	// Larger than the bound, alone.
	want(t, c.do("SET", "k", strings.Repeat("x", 5000)), replyOK)
}

func TestReadsShareABarrier(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	before := p.log.barriers.Load()
	c.send(pipeline(100, "GET", "k"))
	for range 100 {
		want(t, c.reply(), "$-1\r\n")
	}
	if n := p.log.barriers.Load() - before; n > 10 {
		t.Errorf("%d barriers for 100 reads of one pipeline", n)
	}
}

func TestQuitEndsThePipeline(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.send([]byte("SET a 1\r\nQUIT\r\nSET a 2\r\n"))
	want(t, c.reply()+c.reply(), "+OK\r\n+OK\r\n")
	if !c.eof() {
		t.Error("QUIT did not close")
	}
	want(t, dial(t, p.addr).cmd("GET a"), "$1\r\n1\r\n")
}

// Replies larger than the budget of a read are streamed; others around them keep their places.
func TestLargeReplies(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	for i := range 4 {
		want(t, c.do("SET", fmt.Sprint("big", i), strings.Repeat(fmt.Sprint(i), 3<<20)), replyOK)
	}
	c.send([]byte("GET a\r\nGET big0\r\nTTL big0\r\nGET big1\r\nSET a 1\r\nGET a\r\nMGET big2 a big3\r\nGET a\r\nGET nokey\r\n"))
	big := func(i int) string {
		return fmt.Sprintf("$%d\r\n%s\r\n", 3<<20, strings.Repeat(fmt.Sprint(i), 3<<20))
	}
	for _, exp := range []string{"$-1\r\n", big(0), ":-1\r\n", big(1), "+OK\r\n", "$1\r\n1\r\n",
		"*3\r\n" + big(2) + "$1\r\n1\r\n" + big(3), "$1\r\n1\r\n", "$-1\r\n"} {
		if got := c.reply(); got != exp {
			t.Errorf("got %d bytes %.40q, want %d bytes %.40q", len(got), got, len(exp), exp)
		}
	}
	var many []byte
	for range 40 {
		many = appendRequest(many, "GETRANGE", "big1", "0", "199999")
	}
	c.send(many)
	for range 40 {
		if got := c.reply(); len(got) != 200000+11 {
			t.Fatalf("reply of %d bytes: %.40q", len(got), got)
		}
	}
}

// A reply of 128 MiB to a client that reads slowly needs no memory of that size.
func TestLargeReplyNeedsLittleMemory(t *testing.T) {
	p := startProxy(t)
	direct := dial(t, p.redis)
	want(t, direct.do("SETRANGE", "huge", fmt.Sprint(128<<20-1), "x"), fmt.Sprintf(":%d\r\n", 128<<20))
	c := dial(t, p.addr)
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	c.send(pipeline(2, "GET", "huge"))
	var read, peak int64
	buf := make([]byte, 1<<20)
	for read < 2*(128<<20) {
		n, err := c.r.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if read>>26 != (read+int64(n))>>26 {
			runtime.ReadMemStats(&now)
			peak = max(peak, int64(now.HeapAlloc)-int64(before.HeapAlloc))
		}
		read += int64(n)
	}
	t.Logf("%d MiB in %v, heap grew by %d MiB", read>>20, time.Since(start), peak>>20)
	if peak > 32<<20 {
		t.Errorf("the heap grew by %d MiB", peak>>20)
	}
}

// failingStream is a backend whose streams break.
type failingStream struct {
	Backend
	after int
}

func (f *failingStream) StreamAs(_ context.Context, _ backend.Protocol, _ int, _ []byte, w io.Writer) error {
	if f.after > 0 {
		_, _ = io.WriteString(w, "$100\r\n"+strings.Repeat("x", f.after))
	}
	return errors.New("connection lost")
}

func (f *failingStream) ReadAs(context.Context, backend.Protocol, int, []byte, int) ([]byte, int, error) {
	return nil, 0, nil
}

func TestBrokenStream(t *testing.T) {
	p := startProxy(t)
	real := p.server.backend
	c := dial(t, p.addr)
	c.cmd("PING")
	p.server.backend = &failingStream{Backend: real}
	want(t, c.cmd("GET k"), "-TRYAGAIN nexus: not executed: connection lost\r\n")
	p.server.backend = &failingStream{Backend: real, after: 10}
	c.send([]byte("GET k\r\nSET a 1\r\n"))
	b, err := io.ReadAll(c.r)
	if err != nil || string(b) != "$100\r\nxxxxxxxxxx" {
		t.Errorf("got %q, %v: want the connection closed in the middle of the reply", b, err)
	}
}

func TestPanicEndsOneSession(t *testing.T) {
	p := startProxy(t)
	c, other := dial(t, p.addr), dial(t, p.addr)
	other.cmd("PING")
	p.log.proposeFails = func([][]byte) error { panic("bug") }
	c.send([]byte("PING\r\nSET a 1\r\nGET a\r\n"))
	if b, _ := io.ReadAll(c.r); len(b) != 0 {
		t.Errorf("got %q after a panic", b)
	}
	want(t, other.cmd("GET a"), "$-1\r\n")
	if p.server.Stats().Panics != 1 || strings.Count(p.logged.String(), "session panicked") != 1 {
		t.Errorf("log: %s", p.logged.String())
	}
}

func TestCloseDrains(t *testing.T) {
	p := startProxy(t)
	idle, busy := dial(t, p.addr), dial(t, p.addr)
	idle.cmd("PING")
	started, release := make(chan struct{}), make(chan struct{})
	p.log.proposeFails = func([][]byte) error {
		close(started)
		<-release
		p.log.proposeFails = nil
		return nil
	}
	busy.send(appendRequest(nil, "SET", "a", "1"))
	<-started
	closed := make(chan error, 1)
	go func() { closed <- p.server.Close(context.Background()) }()
	if !idle.eof() {
		t.Error("an idle client was not closed")
	}
	select {
	case err := <-closed:
		t.Fatalf("Close returned %v while a request was running", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	want(t, busy.reply(), replyOK)
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if !busy.eof() {
		t.Error("the busy client was not closed")
	}
}

func TestCloseGivesUp(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	started := make(chan struct{})
	p.server.rep = &stuckLog{started: started}
	c.send(appendRequest(nil, "SET", "a", "1"))
	<-started
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := p.server.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	if b, _ := io.ReadAll(c.r); len(b) != 0 {
		t.Errorf("got %q", b)
	}
}

// stuckLog waits for the end of the context.
type stuckLog struct{ started chan struct{} }

func (l *stuckLog) Propose(ctx context.Context, _ [][]byte) (raft.Outcome, error) {
	close(l.started)
	<-ctx.Done()
	return raft.Outcome{}, fmt.Errorf("%w: %w", raft.ErrOutcomeUnknown, context.Cause(ctx))
}

func (l *stuckLog) ProposeArrived(ctx context.Context, _ time.Time, cmds [][]byte) (raft.Outcome, error) {
	return l.Propose(ctx, cmds)
}

func (l *stuckLog) Wait(ctx context.Context, _ time.Time, cmd []byte, _, _ func()) (raft.Outcome, error) {
	return l.Propose(ctx, [][]byte{cmd})
}
func (l *stuckLog) Read(context.Context, func(context.Context) error) error { return raft.ErrNotDone }
func (l *stuckLog) Snapshot(context.Context) error                          { return nil }
func (l *stuckLog) MembersWithout(int) []raft.Member                        { return nil }
func (l *stuckLog) Status() raft.Status                                     { return raft.Status{} }

func TestTimeout(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.Timeout = 30 * time.Millisecond })
	c := dial(t, p.addr)
	for range 2 {
		p.server.rep = &stuckLog{started: make(chan struct{})}
		got := c.cmd("SET a 1")
		if !strings.HasPrefix(got, "-UNKNOWNOUTCOME ") || !strings.Contains(got, "no answer within 30ms") {
			t.Errorf("got %q", got)
		}
	}
	p.server.rep = p.log
	want(t, c.cmd("SET a 1"), replyOK)
}
