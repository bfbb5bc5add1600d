package raft

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// startBehind starts a node in the background, and returns what Start returns.
func (c *testCluster) startBehind(i int) (<-chan error, context.CancelFunc) {
	c.t.Helper()
	r, err := New(c.config(i))
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i] = r
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	c.t.Cleanup(cancel)
	started := make(chan error, 1)
	go func() { started <- r.Start(ctx) }()
	return started, cancel
}

// refusedAs waits until a node says this of itself.
func (c *testCluster) refusedAs(i int, problem string) {
	c.t.Helper()
	eventually(c.t, problem, func() bool {
		s := c.nodes[i].Status()
		return !s.Serving && strings.Contains(s.Problem, problem)
	})
}

// writtenByTwo waits until a write was answered without the third member.
func (c *testCluster) writtenByTwo() {
	c.t.Helper()
	eventually(c.t, "a write by the two", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := c.nodes[c.leader()].Propose(ctx, [][]byte{[]byte("k=v")})
		return err == nil
	})
}

// joinedLate waits until a node has started, starts the one that is gone, and looks for what was written meanwhile.
func (c *testCluster) joinedLate(started <-chan error, late, gone int) {
	c.t.Helper()
	if err := <-started; err != nil {
		c.t.Fatal(err)
	}
	c.start(gone)
	c.converged()
	if got := c.read(late, "k"); got != "v" {
		c.t.Errorf("read %q", got)
	}
}

// Of three members one is gone, and another one is started while its backend is down: they are a majority.
func TestVotesBeforeTheBackendAnswers(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.count(5)
	leader := c.leader()
	gone, late := (leader+1)%3, (leader+2)%3
	c.stop(gone)
	c.stop(late)
	c.stores[late].fail(errBackendDown)
	started, _ := c.startBehind(late)
	c.refusedAs(late, "it has not been opened since the node was started: open the backend: connection refused")
	c.writtenByTwo()
	if _, err := c.nodes[late].Propose(context.Background(), [][]byte{[]byte("n+")}); !errors.Is(err, ErrNotDone) {
		t.Errorf("proposed at a node without a backend: %v", err)
	}
	err := c.nodes[late].Read(context.Background(), func(context.Context) error { return nil })
	if !errors.Is(err, ErrNotDone) {
		t.Errorf("read at a node without a backend: %v", err)
	}
	select {
	case err := <-started:
		t.Fatalf("started without its backend: %v", err)
	default:
	}
	c.stores[late].fail(nil)
	c.joinedLate(started, late, gone)
	c.count(5)
}

// What can never be served ends the node also when that shows late, and so does whoever has started it.
func TestStartEndsBeforeTheBackendAnswers(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	late := (c.leader() + 1) % 3
	c.stop(late)
	c.stores[late].fail(errBackendDown)
	started, cancel := c.startBehind(late)
	c.refusedAs(late, errBackendDown.Error())
	cancel()
	if err := <-started; !errors.Is(err, errBackendDown) {
		t.Errorf("broken off: %v", err)
	}

	started, _ = c.startBehind(late)
	c.refusedAs(late, errBackendDown.Error())
	c.stores[late].mu.Lock()
	c.stores[late].failWith, c.stores[late].id.Cluster = nil, 77
	c.stores[late].mu.Unlock()
	var fatal *FatalError
	if err := <-started; !errors.As(err, &fatal) {
		t.Errorf("a backend of another cluster: %v", err)
	}
	c.nodes[late] = nil // Start has released it
	c.count(5)
}

// A new member is none before it is known that its backend is fit.
func TestNewMemberWaitsForItsBackend(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.stop(0)
	c.dirs[0], c.stores[0] = t.TempDir(), newMapStore()
	c.stores[0].fail(errBackendDown)
	started, _ := c.startBehind(0)
	c.refusedAs(0, "node is starting: backend: open the backend: connection refused")
	c.stores[0].fail(nil)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	c.count(5)
}

// A restore that was cut off is finished while the node votes.
func TestVotesWhileItsBackendIsFilledAgain(t *testing.T) {
	c := newTestCluster(t, 3, often)
	c.count(100)
	c.compacted()
	leader := c.leader()
	gone, late := (leader+1)%3, (leader+2)%3
	store := c.stores[late]
	failRestore := func(err error) {
		store.mu.Lock()
		defer store.mu.Unlock()
		store.failRestore = err
	}
	failRestore(errBackendDown)
	store.wipe()
	eventually(t, "a restore that fails", func() bool { return len(store.restored()) > 0 })
	c.stop(gone)
	c.stop(late)
	started, _ := c.startBehind(late)
	c.refusedAs(late, "filled from the snapshot")
	c.writtenByTwo()
	failRestore(nil)
	c.joinedLate(started, late, gone)
}

// A removed member says so also where its backend does not answer.
func TestRemovedMemberNeedsNoBackend(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	gone, _ := c.removeOne(true)
	c.stores[gone].fail(errBackendDown)
	c.start(gone)
	if err := c.nodes[gone].Err(); !errors.Is(err, ErrRemoved) {
		t.Errorf("a removed member runs: %v", err)
	}
}
