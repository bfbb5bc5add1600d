package raft

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// A leader whose backend is far behind takes no more writes: its own were certainly not done, those of other members may
// be on their way to it.
func TestLeaderFarBehind(t *testing.T) {
	c := newTestCluster(t, 3, func(cfg *Config) { cfg.MaxApplyLag, cfg.Timeout = 3, time.Second })
	leader := c.leader()
	follower := (leader + 1) % 3
	c.propose(leader, "k=v") // it has applied what others left, and takes writes
	release := c.stores[leader].hang()
	defer release()
	for range 4 {
		c.propose(follower, "k=v")
	}
	var wg sync.WaitGroup
	for node, want := range map[int]error{leader: ErrNotDone, follower: ErrOutcomeUnknown} {
		wg.Go(func() {
			_, err := c.nodes[node].Propose(context.Background(), [][]byte{[]byte("late=v")})
			if !errors.Is(err, want) {
				t.Errorf("a write at node %d: %v, want %v", node, err, want)
			}
		})
	}
	wg.Go(func() {
		err := c.nodes[leader].Read(context.Background(), func(context.Context) error { return nil })
		if !errors.Is(err, ErrNotDone) || !strings.Contains(err.Error(), "backend has applied index") {
			t.Errorf("a read at the leader: %v", err)
		}
	})
	wg.Go(func() {
		if err := c.nodes[follower].Read(context.Background(), func(context.Context) error { return nil }); err != nil {
			t.Errorf("a read at a follower: %v", err)
		}
	})
	wg.Wait()
	if status := c.nodes[leader].Status(); status.Serving || !strings.Contains(status.Problem, "catching up") {
		t.Errorf("the leader says %+v", status)
	}
}

// Where too much waits, more is refused at once. Reads are not counted.
func TestTooMuchWaits(t *testing.T) {
	c := newTestCluster(t, 1, func(cfg *Config) { cfg.MaxPendingBytes, cfg.Timeout = 1000, time.Minute })
	c.leader()
	release := c.stores[0].hang()
	waiting := make(chan error, 1)
	go func() {
		_, err := c.nodes[0].Propose(context.Background(), [][]byte{[]byte("k=" + strings.Repeat("v", 700))})
		waiting <- err
	}()
	eventually(t, "a write that waits", func() bool { return c.nodes[0].pendingBytes.Load() > 700 })
	_, err := c.nodes[0].Propose(context.Background(), [][]byte{[]byte("more=" + strings.Repeat("v", 700))})
	if !errors.Is(err, ErrNotDone) || !strings.Contains(err.Error(), "more than 1000 bytes of writes are waiting on this node") {
		t.Errorf("a write too many: %v", err)
	}
	release()
	if err := <-waiting; err != nil {
		t.Errorf("the write that waited: %v", err)
	}
	if got := c.read(0, "more"); got != "" {
		t.Errorf("a refused write was done: %q", got)
	}
	c.propose(0, "more=v")
}
