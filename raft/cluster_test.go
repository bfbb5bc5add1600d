package raft

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

// mapStore is a backend in memory: "key=value" sets, "key+" counts up; replies are the new value. It survives the
// Replicator, as a backend survives its node.
type mapStore struct {
	mu            sync.Mutex
	id            Identity
	position      Position // what the data is of
	expected      Position // what the Replicator was told last
	data          map[string]string
	failWith      error // machine error
	failRestore   error
	busy          error         // instead of a snapshot
	asked         int           // for snapshots
	breaks        int           // so many of them break off
	digesting     chan struct{} // Digest says nothing until it is closed
	hung          chan struct{} // Apply says nothing until it is closed
	held          chan struct{} // what Snapshot returns says nothing until it is closed
	restores      []Position
	digestVersion atomic.Int64
	applied       []string
	lists         bool // commands are those of listRules
	doubt         error
}

func newMapStore() *mapStore { return &mapStore{data: make(map[string]string)} }

func (s *mapStore) Open(_ context.Context, id Identity) (Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failWith != nil {
		return Position{}, s.failWith
	}
	if s.id != (Identity{}) && s.id != id {
		return Position{}, &FatalError{fmt.Errorf("backend belongs to %+v", s.id)}
	}
	s.id, s.expected = id, s.position
	return s.position, nil
}

func (s *mapStore) Apply(ctx context.Context, entries []Entry) error {
	s.mu.Lock()
	hung := s.hung
	s.mu.Unlock()
	if hung != nil {
		select {
		case <-hung:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failWith != nil {
		return s.failWith
	}
	if len(entries) == 0 && s.position != s.expected || len(entries) > 0 && s.position.Index != entries[0].Index-entries[0].Pieces-1 {
		s.expected = s.position
		return &BehindError{s.position}
	}
	for i := range entries {
		for j := range entries[i].Commands {
			c := &entries[i].Commands[j]
			c.Reply = []byte(s.do(string(c.Data)))
		}
		s.position, s.expected = entries[i].Position, entries[i].Position
	}
	return nil
}

func (s *mapStore) do(cmd string) string {
	s.applied = append(s.applied, cmd)
	if s.lists {
		return s.doList(cmd)
	}
	if key, ok := strings.CutSuffix(cmd, "+"); ok {
		n, _ := strconv.ParseUint(s.data[key], 10, 64) // text, since snapshots are JSON
		s.data[key] = strconv.FormatUint(n+1, 10)
		return s.data[key]
	}
	key, value, _ := strings.Cut(cmd, "=")
	s.data[key] = value
	return value
}

func (s *mapStore) Snapshot(context.Context) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if err := cmp.Or(s.failWith, s.busy); err != nil {
		return nil, err
	}
	data, err := json.Marshal(s.data)
	if s.breaks > 0 {
		s.breaks--
		return io.NopCloser(iotest.ErrReader(fmt.Errorf("%w: something has changed", ErrBusy))), err
	}
	if s.held != nil {
		return io.NopCloser(heldReader{s.held, bytes.NewReader(data)}), err
	}
	return io.NopCloser(bytes.NewReader(data)), err
}

// heldReader says nothing until held is closed.
type heldReader struct {
	held chan struct{}
	r    io.Reader
}

func (h heldReader) Read(p []byte) (int, error) {
	<-h.held
	return h.r.Read(p)
}

func (s *mapStore) Restore(_ context.Context, id Identity, snap *Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restores = append(s.restores, snap.Position)
	if s.failRestore != nil {
		s.id, s.position, s.data = snap.Origin, snap.Position, nil // half done
		return s.failRestore
	}
	halfDone := snap.Again && s.id == snap.Origin && s.position == snap.Position
	if s.id != (Identity{}) && s.id != id && !halfDone {
		return &FatalError{fmt.Errorf("backend belongs to %+v", s.id)}
	}
	data := make(map[string]string)
	if err := json.NewDecoder(snap.Data).Decode(&data); err != nil {
		return &FatalError{err}
	}
	s.id, s.position, s.expected, s.data = id, snap.Position, snap.Position, data
	return nil
}

func (s *mapStore) Position(context.Context) (Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position, nil
}

func (s *mapStore) Close() error { return nil }

func (s *mapStore) get(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data[key]
}

func (s *mapStore) wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.position, s.data = Position{}, make(map[string]string)
}

func (s *mapStore) restored() []Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.restores)
}

func (s *mapStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failWith = err
}

// hang makes Apply say nothing until the returned function is called.
func (s *mapStore) hang() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hung := make(chan struct{})
	s.hung = hung
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hung = nil
		close(hung)
	}
}

func (s *mapStore) snapshot() (Position, map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position, maps.Clone(s.data)
}

// testCluster is members in one process, with real logs and real connections on loopback.
type testCluster struct {
	t      *testing.T
	urls   []string
	stores []*mapStore
	nodes  []*Replicator
	dirs   []string
	tune   func(*Config)
}

// givenPorts are those of the tests that run.
var givenPorts sync.Map

func freeURL(t testing.TB) string {
	t.Helper()
	for range 100 {
		// Below the ports that the system gives to outgoing connections, one of which could take it in between, and those
		// that servers of other packages' tests have, which may be down for a moment.
		port := 10_000 + rand.IntN(10_000)
		if _, given := givenPorts.LoadOrStore(port, true); given {
			continue
		}
		t.Cleanup(func() { givenPorts.Delete(port) })
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			ln.Close()
			return "http://" + ln.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}

func newTestCluster(t *testing.T, n int, tune func(*Config)) *testCluster {
	t.Helper()
	c := &testCluster{t: t, tune: tune, nodes: make([]*Replicator, n)}
	for range n {
		c.urls = append(c.urls, freeURL(t))
		c.stores = append(c.stores, newMapStore())
		c.dirs = append(c.dirs, t.TempDir())
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { c.start(i) })
	}
	wg.Wait()
	t.Cleanup(func() {
		for i := range c.nodes {
			c.stop(i)
		}
	})
	return c
}

func (c *testCluster) config(i int) Config {
	cfg := NewConfig()
	cfg.NodeURL, cfg.ClusterURLs, cfg.DataDir, cfg.Store = c.urls[i], slices.Clone(c.urls), c.dirs[i], c.stores[i]
	cfg.Tick = 20 * time.Millisecond
	cfg.Logger = slog.New(slog.NewTextHandler(testLog(), &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
	if c.tune != nil {
		c.tune(&cfg)
	}
	return cfg
}

func (c *testCluster) start(i int) {
	c.t.Helper()
	c.startWith(i, func(*Replicator) {})
}

// startWith starts a node of which something was changed before.
func (c *testCluster) startWith(i int, change func(*Replicator)) {
	c.t.Helper()
	r, err := New(c.config(i))
	if err != nil {
		c.t.Error(err)
		return
	}
	change(r)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Start(ctx); err != nil {
		c.t.Errorf("start node %d: %v", i, err)
		return
	}
	c.nodes[i] = r
}

func (c *testCluster) stop(i int) {
	if r := c.nodes[i]; r != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // no hand-over: the others have to notice
		if err := r.Stop(ctx); err != nil {
			c.t.Errorf("stop node %d: %v", i, err)
		}
		c.nodes[i] = nil
	}
}

func (c *testCluster) leader() int {
	c.t.Helper()
	found := -1
	eventually(c.t, "a leader", func() bool {
		for i, r := range c.nodes {
			if r == nil {
				continue
			}
			if s := r.Status(); s.Role == "leader" && s.Serving {
				found = i
				return true
			}
		}
		return false
	})
	return found
}

func (c *testCluster) propose(i int, cmd string) string {
	c.t.Helper()
	out, err := c.nodes[i].Propose(context.Background(), [][]byte{[]byte(cmd)})
	if err != nil {
		c.t.Fatalf("propose %q on node %d: %v", cmd, i, err)
	}
	return string(out.Replies[0].Data)
}

// load proposes on all nodes, one after the other on each, until stop is called or the test ends, before its nodes do.
func (c *testCluster) load(cmd func(i, n int) string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var proposers sync.WaitGroup
	for i, r := range c.nodes {
		proposers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = r.Propose(context.Background(), [][]byte{[]byte(cmd(i, n))})
			}
		})
	}
	stop = func() { cancel(); proposers.Wait() }
	c.t.Cleanup(stop)
	return stop
}

func (c *testCluster) read(i int, key string) string {
	c.t.Helper()
	var value string
	err := c.nodes[i].Read(context.Background(), func(context.Context) error {
		value = c.stores[i].get(key)
		return nil
	})
	if err != nil {
		c.t.Fatalf("read %q on node %d: %v", key, i, err)
	}
	return value
}

// converged waits until all stores hold the same at the same position and no node is still filling its own: a store that
// was filled is equal a moment before its node knows it.
func (c *testCluster) converged() {
	c.t.Helper()
	eventually(c.t, "equal stores", func() bool {
		for _, r := range c.nodes {
			if r == nil {
				continue
			}
			var filling errRestoring
			if problem := r.backendProblem.Load(); problem != nil && errors.As(*problem, &filling) {
				return false
			}
		}
		position, data := c.stores[0].snapshot()
		for _, s := range c.stores[1:] {
			p, d := s.snapshot()
			if p != position || !maps.Equal(d, data) {
				return false
			}
		}
		return true
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(40 * time.Second) // the machine may be busy
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 40 s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

var errBackendDown = errors.New("connection refused")

// testLog is where the nodes log to: nowhere, or standard error with RAFT_TEST_LOG set.
func testLog() io.Writer {
	if os.Getenv("RAFT_TEST_LOG") != "" {
		return os.Stderr
	}
	return io.Discard
}
