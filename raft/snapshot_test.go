package raft

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// often makes members take a snapshot every few entries.
func often(cfg *Config) { cfg.SnapshotCount = 20 }

func (c *testCluster) count(times int) {
	c.t.Helper()
	for range times {
		c.propose(c.leader(), "n+")
	}
}

// compacted waits until the log of every running member begins at a snapshot.
func (c *testCluster) compacted() {
	c.t.Helper()
	for i, r := range c.nodes {
		if r == nil {
			continue
		}
		eventually(c.t, fmt.Sprintf("snapshot on node %d", i), func() bool {
			first, err := r.disk.memory.FirstIndex()
			return err == nil && first > 1
		})
	}
}

func TestSnapshotShortensTheLog(t *testing.T) {
	c := newTestCluster(t, 3, often)
	c.count(100)
	c.compacted()
	for i := range 3 {
		c.stop(i)
	}
	// One backend lost its data, the others kept theirs.
	c.stores[2].wipe()
	for i := range 3 {
		c.start(i)
	}
	if got := c.propose(0, "n+"); got != "101" {
		t.Fatalf("counter is %s, want 101", got)
	}
	c.converged()
	if len(c.stores[2].restored()) == 0 || len(c.stores[1].restored()) != 0 {
		t.Errorf("restored %v and %v", c.stores[2].restored(), c.stores[1].restored())
	}
	for i, dir := range c.dirs {
		eventually(t, fmt.Sprintf("purge of snapshots on node %d", i), func() bool {
			bodies, err := filepath.Glob(filepath.Join(dir, snapshotDir, "*"+bodySuffix))
			return err == nil && len(bodies) <= 2
		})
	}
}

func TestSnapshotOnRequest(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.count(3)
	for range 2 { // the second finds nothing new
		if err := c.nodes[0].Snapshot(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	status := c.nodes[0].Status()
	if status.Snapshot == 0 || status.Snapshot != status.Applied {
		t.Errorf("snapshot at %d, applied %d", status.Snapshot, status.Applied)
	}
	c.stores[0].fail(errBackendDown)
	eventually(t, "trouble", func() bool { return !c.nodes[0].Status().Serving })
	if err := c.nodes[0].Snapshot(context.Background()); !errors.Is(err, ErrNotDone) {
		t.Errorf("snapshot of a backend that is down: %v", err)
	}
}

// A snapshot that is asked for waits for a backend that is busy, for as long as the caller does.
func TestSnapshotOfBusyBackend(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.count(3)
	s := c.stores[0]
	set := func(busy error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy, s.asked = busy, 0
	}
	set(fmt.Errorf("%w: one child at a time", ErrBusy))
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	err := c.nodes[0].Snapshot(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "one child at a time") {
		t.Errorf("snapshot of a backend that is busy all the time: %v", err)
	}
	set(fmt.Errorf("%w: one child at a time", ErrBusy))
	done := make(chan error, 1)
	go func() { done <- c.nodes[0].Snapshot(context.Background()) }()
	eventually(t, "second try", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.asked >= 2
	})
	set(nil)
	if err := <-done; err != nil {
		t.Errorf("snapshot of a backend that was busy: %v", err)
	}
	if got := c.nodes[0].Status().Snapshot; got == 0 {
		t.Error("there is no snapshot")
	}
}

// A snapshot that the backend could not finish is taken again, also for who has asked for it.
func TestBrokenSnapshot(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.count(3)
	s := c.stores[0]
	breaks := func(times int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.breaks = times
	}
	breaks(1000)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := c.nodes[0].Snapshot(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("snapshot that is broken off all the time: %v", err)
	}
	breaks(1)
	if err := c.nodes[0].Snapshot(context.Background()); err != nil {
		t.Errorf("snapshot that was broken off: %v", err)
	}
	if got := c.nodes[0].Status().Snapshot; got == 0 {
		t.Error("there is no snapshot")
	}
}

// The pause after a snapshot that was broken off grows, and begins anew behind one that was not.
func TestPauseAfterBrokenSnapshots(t *testing.T) {
	turn := &snapshotTurn{}
	for range 2 {
		for n, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
			before := time.Now()
			if got := turn.breakOff(nil, ErrBusy); got != n+1 {
				t.Errorf("%d in a row, want %d", got, n+1)
			}
			if turn.again.Before(before.Add(want)) || turn.again.After(time.Now().Add(want)) {
				t.Errorf("pause %d is %v, want %v", n, turn.again.Sub(before), want)
			}
			if _, ok := turn.begin(true); ok {
				t.Error("it does not wait")
			}
		}
		turn.again = time.Time{}
		if _, ok := turn.begin(false); !ok {
			t.Error("it is not taken again")
		}
		turn.end(nil, nil)
	}
}

// A member that was away for longer than the log is kept gets a snapshot, and what it had proposed is not lost silently.
func TestMemberFarBehind(t *testing.T) {
	c := newTestCluster(t, 3, often)
	c.count(10)
	away := (c.leader() + 1) % 3
	c.stop(away)
	c.count(100)
	c.compacted()
	c.start(away)
	c.converged()
	if len(c.stores[away].restored()) == 0 {
		t.Error("caught up without a snapshot")
	}
	sent := uint64(0)
	for i, r := range c.nodes {
		status := r.Status()
		sent += status.SnapshotSent
		if i != away && status.SnapshotWritten == 0 {
			t.Errorf("%s tells of no snapshot that it has written", status.URL)
		}
	}
	if sent == 0 {
		t.Error("nobody tells of a snapshot that was sent")
	}
	if got := c.propose(away, "n+"); got != "111" {
		t.Errorf("counter is %s, want 111", got)
	}
	// It leads after a snapshot as well as others.
	if err := c.nodes[away].TransferLeadership(context.Background(), c.nodes[away].identity.ID); err != nil {
		t.Fatal(err)
	}
	c.count(30)
	c.converged()
}

// A backend that comes back empty while its node runs is filled from the node's own snapshot, also on the leader.
func TestBackendEmptyAfterCompaction(t *testing.T) {
	c := newTestCluster(t, 3, often)
	c.count(100)
	c.compacted()
	for _, i := range []int{c.leader(), (c.leader() + 1) % 3} {
		c.stores[i].wipe()
		c.converged()
		if len(c.stores[i].restored()) == 0 {
			t.Errorf("node %d: filled without a snapshot", i)
		}
	}
	if got := c.propose(0, "n+"); got != "101" {
		t.Errorf("counter is %s, want 101", got)
	}
}

// A node that ends in the middle of Restore does it again before it asks the backend for anything.
func TestRestoreCutOff(t *testing.T) {
	c := newTestCluster(t, 3, often)
	c.count(100)
	c.compacted()
	i := (c.leader() + 1) % 3
	store := c.stores[i]
	store.mu.Lock()
	store.failRestore = errors.New("connection reset")
	store.mu.Unlock()
	store.wipe()
	eventually(t, "a restore that fails", func() bool {
		return len(store.restored()) > 0
	})
	status := c.nodes[i].Status()
	if status.Serving || !strings.Contains(status.Problem, "filled from the snapshot") {
		t.Errorf("status is %+v", status)
	}
	c.count(5)
	c.stop(i)
	store.mu.Lock()
	store.failRestore = nil
	store.mu.Unlock()
	c.start(i)
	c.converged()
	if got := c.read(i, "n"); got != "105" {
		t.Errorf("read %q", got)
	}
	if _, err := os.Stat(filepath.Join(c.dirs[i], restoringFile)); !os.IsNotExist(err) {
		t.Errorf("%s: %v", restoringFile, err)
	}
}

// A snapshot that is about to be restored is not purged by a newer one that was under way.
func TestPinnedSnapshotIsNotPurged(t *testing.T) {
	c := newTestCluster(t, 1, often)
	r := c.nodes[0]
	c.count(60)
	c.compacted()
	meta, err := r.pinNewest()
	if err != nil {
		t.Fatal(err)
	}
	pinned := meta.Metadata.Index
	c.count(60)
	eventually(t, "a newer snapshot", func() bool { return r.snapshotIndex.Load() > pinned+20 })
	if err := r.purge(); err != nil {
		t.Fatal(err)
	}
	body, err := r.disk.snapshots.openBody(pinned)
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	r.unpin()
	if err := r.purge(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.disk.snapshots.at(pinned); err == nil {
		t.Error("the snapshot stays for ever")
	}
}

// Members that join take the members and the removed ids from the snapshot, and bring both through a restart.
func TestJoinBySnapshot(t *testing.T) {
	c := newTestCluster(t, 3, often)
	c.count(50)
	leader := c.leader()
	gone := (leader + 1) % 3
	goneID := c.nodes[gone].identity.ID
	if err := c.nodes[leader].RemoveMember(context.Background(), c.urls[gone], false); err != nil {
		t.Fatal(err)
	}
	c.stop(gone)
	c.nodes = append(c.nodes, nil)
	c.urls, c.stores, c.dirs = append(c.urls, freeURL(t)), append(c.stores, newMapStore()), append(c.dirs, t.TempDir())
	c.nodes[gone] = nil
	c.count(60)
	c.compacted()

	first := append([]string(nil), c.urls[:3]...)
	c.tune = func(cfg *Config) { often(cfg); cfg.ClusterURLs = first }
	added := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		added <- c.nodes[leader].AddMember(ctx, c.urls[3])
	}()
	c.start(3)
	if err := <-added; err != nil {
		t.Fatal(err)
	}
	if len(c.stores[3].restored()) == 0 {
		t.Error("joined without a snapshot")
	}
	check := func() {
		t.Helper()
		eventually(t, "the members", func() bool { return len(c.nodes[3].Members()) == 3 })
		if !c.nodes[3].membership.isRemoved(goneID) {
			t.Error("the removed id is forgotten")
		}
	}
	check()
	c.count(40)
	eventually(t, "a snapshot of its own", func() bool { return c.nodes[3].Status().Snapshot > c.stores[3].restored()[0].Index })
	c.stop(3)
	c.start(3)
	if got := c.propose(3, "n+"); got != "151" {
		t.Errorf("counter is %s, want 151", got)
	}
	check()
}

func TestLoseOutcomes(t *testing.T) {
	r, err := New(func() Config {
		cfg := NewConfig()
		cfg.NodeURL, cfg.ClusterURLs, cfg.DataDir, cfg.Store = "http://h:1", []string{"http://h:1"}, t.TempDir(), newMapStore()
		return cfg
	}())
	if err != nil {
		t.Fatal(err)
	}
	old, later := &proposal{done: make(chan struct{}, 1)}, &proposal{done: make(chan struct{}, 1)}
	old.id, later.id = 1, 2
	r.offer(old, 3)
	r.offer(later, 4)
	r.loseOutcomes(3)
	<-old.done
	if !errors.Is(old.failed, ErrOutcomeUnknown) {
		t.Errorf("told %v", old.failed)
	}
	if later.state.Load() != proposalOffered || !r.pending.has(2) {
		t.Error("a proposal of a later term was given up")
	}
}

// Who asks for a snapshot, as a backup does, while the backend is being filled waits until that holds again what it has held, and is not
// told that nothing has happened since the last, which there may not even be.
func TestSnapshotOfBackendThatIsFilled(t *testing.T) {
	cfg := NewConfig()
	cfg.NodeURL, cfg.ClusterURLs, cfg.DataDir, cfg.Store = "http://h:1", []string{"http://h:1"}, t.TempDir(), newMapStore()
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.commit.Store(100)
	for _, at := range []struct{ position, newest, highest uint64 }{{0, 0, 0}, {0, 50, 50}, {30, 50, 0}, {30, 20, 40}, {20, 20, 40}} {
		r.snapshotIndex.Store(at.newest)
		a := &applyLoop{r: r, position: Position{Index: at.position}, highest: at.highest}
		done := r.snapshotTurn.ask()
		a.snapshotIfDue()
		select {
		case err := <-done:
			t.Errorf("at %d with a snapshot of %d: told %v", at.position, at.newest, err)
		default:
			_ = r.snapshotTurn.giveUp(done)
		}
	}
	r.snapshotIndex.Store(50)
	done := r.snapshotTurn.ask()
	(&applyLoop{r: r, position: Position{Index: 50}}).snapshotIfDue()
	if err := <-done; err != nil {
		t.Errorf("where nothing has happened since: %v", err)
	}
}

// The log is shortened for its size as well as for the number of its entries, and its files go.
func TestSnapshotForBytes(t *testing.T) {
	c := newTestCluster(t, 1, func(cfg *Config) { cfg.SnapshotBytes = 8 << 20 })
	value := strings.Repeat("v", 4<<20)
	const writes = 50 // 200 MB, which are three of the log's files, and far from SnapshotCount
	for i := range writes {
		c.propose(0, fmt.Sprintf("k%d=%s", i%2, value))
	}
	segments := func() []string {
		list, err := filepath.Glob(filepath.Join(c.dirs[0], walDir, "*.wal"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	const perWrite = 5 // entries: a write this large is cut into pieces
	eventually(t, "the log to be purged", func() bool {
		status := c.nodes[0].Status()
		return status.Snapshot+2*perWrite > status.Applied && len(segments()) <= 2
	})
	c.stop(0)
	c.stores[0].wipe()
	c.start(0)
	eventually(t, "the data", func() bool { return c.stores[0].get("k0") == value && c.stores[0].get("k1") == value })
}
