package redis

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/redcon"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/raft"
)

// startRedis starts a redis-server that ends with the test, and returns its address.
func startRedis(tb testing.TB) string {
	tb.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Fatalf("these tests need redis-server: %v", err)
	}
	port := freePort(tb)
	cmd := exec.Command(bin, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "",
		"--appendonly", "no", "--dir", tb.TempDir(), "--enable-debug-command", "local")
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	addr := cluster.Address(port)
	eventually(tb, "redis-server does not start", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return addr
}

// freePort returns a port that nobody else is given, here or in the tests of other packages.
func freePort(tb testing.TB) int {
	tb.Helper()
	port, err := cluster.FreePort()
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// eventually waits until something is so, for as long as a machine may take that is busy with other tests.
func eventually(tb testing.TB, otherwise string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(40 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatal(otherwise)
		}
	}
}

// fakeLog is a Replicator that applies proposals in order to one real backend, with the stamps of a clock that the test
// may move.
type fakeLog struct {
	mu    sync.Mutex
	store *backend.Backend
	seq   raft.Sequencer
	pos   raft.Position
	stamp int64
	// entries are all there were. Those of other are put behind them before the next proposal: what another node's
	// clients have written and this node has not applied yet.
	entries []raft.Entry
	other   func() [][]byte

	skew         atomic.Int64 // milliseconds that this leader's clock is ahead
	proposals    atomic.Int64
	barriers     atomic.Int64
	maxCommands  atomic.Int64
	readTwice    atomic.Bool
	proposeFails func(cmds [][]byte) error
	readFails    func() error
	afterRead    atomic.Pointer[func()] // called once, when a read has been executed and is not answered
	follower     atomic.Bool
	without      atomic.Pointer[[]raft.Member]   // members of an older version
	arrivals     atomic.Pointer[func(time.Time)] // called with what proposals say about their arrival
	snapshot     atomic.Pointer[func(context.Context) error]
	snapshotAt   atomic.Int64 // seconds since the epoch
}

// After implements raft.LogView, for the Sequencer within Propose.
func (l *fakeLog) After(index uint64) ([]raft.Entry, bool) {
	first := l.pos.Index + 1 - uint64(len(l.entries))
	if index+1 < first || index > l.pos.Index {
		return nil, false
	}
	return l.entries[index+1-first:], true
}

// Waiting implements raft.LogView: nobody waits.
func (l *fakeLog) Waiting() ([][]byte, bool) { return nil, false }

func (l *fakeLog) Propose(_ context.Context, cmds [][]byte) (raft.Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.other; other != nil {
		l.other = nil
		if _, err := l.propose(other()); err != nil {
			return raft.Outcome{}, err
		}
	}
	return l.propose(cmds)
}

func (l *fakeLog) propose(cmds [][]byte) (raft.Outcome, error) {
	if l.proposeFails != nil {
		if err := l.proposeFails(cmds); err != nil {
			return raft.Outcome{}, err
		}
	}
	l.proposals.Add(1)
	l.maxCommands.Store(max(l.maxCommands.Load(), int64(len(cmds))))
	group := make([]raft.Command, len(cmds))
	for i, c := range cmds {
		group[i] = raft.Command{Data: c, Wanted: true}
	}
	for {
		l.stamp = max(l.stamp, time.Now().UnixMilli()+l.skew.Load())
		before, hold := l.seq.Sequence(l.stamp, group)
		entry := raft.Entry{Position: raft.Position{Term: 1, Index: l.pos.Index + 1}, Stamp: l.stamp, Commands: before}
		if !hold {
			entry.Commands = append(entry.Commands, group...)
		}
		entries := []raft.Entry{entry}
		if err := l.store.Apply(context.Background(), entries); err != nil {
			return raft.Outcome{}, fmt.Errorf("%w: %w", raft.ErrOutcomeUnknown, err)
		}
		l.pos = entry.Position
		l.entries = append(l.entries, entry)
		if hold {
			continue
		}
		out := raft.Outcome{Position: l.pos, Stamp: l.stamp}
		for _, c := range entries[0].Commands[len(before):] {
			out.Replies = append(out.Replies, raft.Reply{Data: c.Reply, Err: c.Err})
		}
		return out, nil
	}
}

// ProposeArrived implements Replicator. What comes first is executed first.
func (l *fakeLog) ProposeArrived(ctx context.Context, arrived time.Time, cmds [][]byte) (raft.Outcome, error) {
	if note := l.arrivals.Load(); note != nil {
		(*note)(arrived)
	}
	return l.Propose(ctx, cmds)
}

// Wait is for tests that do not wait: what finds nothing is over.
func (l *fakeLog) Wait(ctx context.Context, arrived time.Time, cmd []byte, _, _ func()) (raft.Outcome, error) {
	out, err := l.ProposeArrived(ctx, arrived, [][]byte{cmd})
	if err == nil && isNothing(out.Replies[0].Data) {
		return raft.Outcome{}, fmt.Errorf("%w: nobody waits in this test", raft.ErrWaitEnded)
	}
	return out, err
}

func (l *fakeLog) Read(ctx context.Context, fn func(context.Context) error) error {
	l.barriers.Add(1)
	if l.readFails != nil {
		if err := l.readFails(); err != nil {
			return err
		}
	}
	if l.readTwice.Load() {
		if err := fn(ctx); err != nil {
			return err
		}
	}
	before := l.store.Stats().Reads
	err := fn(ctx)
	if l.store.Stats().Reads == before {
		return err // only a barrier
	}
	if after := l.afterRead.Swap(nil); after != nil {
		(*after)()
	}
	return err
}

func (l *fakeLog) Verify(context.Context) (raft.VerifyReport, error) {
	return raft.VerifyReport{Position: raft.Position{Term: 1, Index: 5}, Members: []raft.VerifiedMember{
		{ID: 7, URL: "http://127.0.0.1:9021", Items: 3},
		{ID: 8, URL: "http://127.0.0.1:9022", Differences: []raft.PartDifference{{Part: "db0", Items: 2, AtLeast: true}}},
	}}, nil
}

func (l *fakeLog) Snapshot(ctx context.Context) error {
	if f := l.snapshot.Load(); f != nil {
		return (*f)(ctx)
	}
	return nil
}

func (l *fakeLog) MembersWithout(int) []raft.Member {
	if without := l.without.Load(); without != nil {
		return *without
	}
	return nil
}

func (l *fakeLog) Status() raft.Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := raft.Status{ClusterName: "test", Cluster: 0xabc, ID: 7, URL: "http://127.0.0.1:9021", Role: "leader", Leader: 7,
		Term: 1, Commit: l.pos.Index, Applied: l.pos.Index, Serving: true,
		Members: []raft.Member{{ID: 7, URL: "http://127.0.0.1:9021"}}}
	if at := l.snapshotAt.Load(); at != 0 {
		st.SnapshotAt = time.Unix(at, 0)
	}
	if l.follower.Load() {
		st.Leader = 8
	}
	return st
}

// proxy is a Server over a fakeLog and a real backend.
type proxy struct {
	addr   string
	log    *fakeLog
	store  *backend.Backend
	server *Server
	redis  string
	logged *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func startProxy(tb testing.TB, change ...func(*Config)) *proxy {
	tb.Helper()
	logged := &lockedBuffer{}
	logger := slog.New(slog.NewTextHandler(logged, nil))
	bcfg := backend.NewConfig()
	bcfg.Addr = startRedis(tb)
	bcfg.Logger = logger
	store, err := backend.New(bcfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { store.Close() })
	pos, err := store.Open(context.Background(), raft.Identity{Cluster: 1, Node: 7})
	if err != nil {
		tb.Fatal(err)
	}
	cfg := NewConfig()
	cfg.Logger = logger
	for _, f := range change {
		f(&cfg)
	}
	seq := NewSequencer(cfg, store)
	log := &fakeLog{store: store, seq: seq, pos: pos}
	seq.ReadLog(log)
	cfg.Verifier = log
	srv, err := New(cfg, log, store)
	if err != nil {
		tb.Fatal(err)
	}
	if err := srv.learnUsers(context.Background()); err != nil {
		tb.Fatal(err)
	}
	log.barriers.Store(0)
	p := &proxy{log: log, store: store, server: srv, redis: bcfg.Addr, logged: logged}
	p.serve(tb)
	return p
}

// again begins another server in front of the same backend and log, which has not asked yet what the log has.
func (p *proxy) again(tb testing.TB, change ...func(*Config)) *proxy {
	tb.Helper()
	cfg := NewConfig()
	cfg.Logger = p.server.cfg.Logger
	for _, f := range change {
		f(&cfg)
	}
	srv, err := New(cfg, p.log, p.store)
	if err != nil {
		tb.Fatal(err)
	}
	other := *p
	other.server = srv
	other.serve(tb)
	return &other
}

// serve gives the server clients until the test ends.
func (p *proxy) serve(tb testing.TB) {
	tb.Helper()
	srv := p.server
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			tb.Errorf("close: %v", err)
		}
		if err := <-done; err != nil {
			tb.Errorf("serve: %v", err)
		}
	})
	p.addr = ln.Addr().String()
}

// client speaks raw RESP2 or RESP3.
type client struct {
	tb   testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func dial(tb testing.TB, addr string) *client {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return &client{tb: tb, conn: conn, r: bufio.NewReader(conn)}
}

func (c *client) send(b []byte) {
	c.tb.Helper()
	if err := c.conn.SetDeadline(time.Now().Add(40 * time.Second)); err != nil {
		c.tb.Fatal(err)
	}
	if _, err := c.conn.Write(b); err != nil {
		c.tb.Fatal(err)
	}
}

// do sends one command and returns the raw reply.
func (c *client) do(args ...string) string {
	c.tb.Helper()
	c.send(appendRequest(nil, args...))
	return c.reply()
}

// cmd is do with a line that has no quotes.
func (c *client) cmd(line string) string {
	c.tb.Helper()
	return c.do(strings.Fields(line)...)
}

func (c *client) reply() string {
	c.tb.Helper()
	var b bytes.Buffer
	if err := readReply(c.r, &b); err != nil {
		c.tb.Fatalf("read reply: %v, after %q", err, b.String())
	}
	return b.String()
}

// eof reports whether the server closed the connection.
func (c *client) eof() bool {
	_, err := c.r.ReadByte()
	return err != nil && !errors.Is(err, context.DeadlineExceeded)
}

func readReply(r *bufio.Reader, w *bytes.Buffer) error {
	line, err := r.ReadString('\n')
	w.WriteString(line)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch line[0] {
	case '%':
		n *= 2
	case '|':
		n = 2*n + 1
	}
	switch line[0] {
	case '$', '=', '!':
		if n >= 0 {
			if _, err := io.CopyN(w, r, int64(n)+2); err != nil {
				return err
			}
		}
	case '*', '%', '~', '>', '|':
		for range n {
			if err := readReply(r, w); err != nil {
				return err
			}
		}
	}
	return nil
}

func want(tb testing.TB, got, want string) {
	tb.Helper()
	if got != want {
		tb.Errorf("got %.300q\nwant %.300q", got, want)
	}
}

func redconCommand(raw []byte, args [][]byte) redcon.Command {
	return redcon.Command{Raw: raw, Args: args}
}
