package raft

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestBackendLosesItsDataWhileRunning(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	for i := range 20 {
		c.propose(i%3, fmt.Sprintf("k%d=%d", i, i))
	}
	c.stores[1].wipe()
	c.propose(0, "last=1")
	if got := c.read(1, "k7"); got != "7" {
		t.Fatalf("read %q from a backend that was filled again", got)
	}
	c.converged()
}

// Nobody writes or reads, and yet a backend that came back empty is noticed and filled.
func TestIdleBackendLosesItsData(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.propose(0, "k=1")
	c.converged()
	c.stores[1].wipe()
	c.converged()
}

// A backend that hangs says nothing for long before that counts as an error. Its node does not lead for so long.
func TestBackendHangsOnTheLeader(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	leader := c.leader()
	c.propose(leader, "k=1")
	release := c.stores[leader].hang()
	defer release()
	other := (leader + 1) % 3
	c.propose(other, "k=2") // applied there, not at the leader
	eventually(t, "another leader", func() bool {
		l := c.nodes[other].Status().Leader
		return l != 0 && l != c.nodes[leader].identity.ID
	})
	if got := c.read(other, "k"); got != "2" {
		t.Fatalf("read %q", got)
	}
}

// Nor while there is nothing to apply: the node looks at its backend all the same.
func TestIdleBackendHangsOnTheLeader(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	leader := c.leader()
	c.propose(leader, "k=1")
	c.converged()
	release := c.stores[leader].hang()
	eventually(t, "the node to say so", func() bool { return strings.Contains(c.nodes[leader].Status().Problem, errSilent.Error()) })
	err := c.nodes[leader].Read(context.Background(), func(context.Context) error { return nil })
	if !errors.Is(err, ErrNotDone) || !strings.Contains(err.Error(), errSilent.Error()) {
		t.Fatalf("read from a node whose backend hangs: %v", err)
	}
	other := (leader + 1) % 3
	eventually(t, "another leader", func() bool {
		l := c.nodes[other].Status().Leader
		return l != 0 && l != c.nodes[leader].identity.ID
	})
	release()
	eventually(t, "the node to serve again", func() bool { return c.nodes[leader].Status().Serving })
}

// Under writes, too, whoever leads: what is under way there does not come back.
func TestBackendHangsUnderWrites(t *testing.T) {
	for _, who := range []string{"leader", "follower"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			c := newTestCluster(t, 3, nil)
			leader := c.leader()
			c.propose(leader, "k=1")
			c.converged()
			hung, other := leader, (leader+1)%3
			if who == "follower" {
				hung, other = other, leader
			}
			release := sync.OnceFunc(c.stores[hung].hang())
			defer release()
			c.propose(other, "k=2")
			eventually(t, "the node to say so", func() bool { return strings.Contains(c.nodes[hung].Status().Problem, errSilent.Error()) })
			err := c.nodes[hung].Read(context.Background(), func(context.Context) error { return nil })
			if !errors.Is(err, ErrNotDone) || !strings.Contains(err.Error(), errSilent.Error()) {
				t.Errorf("read from a node whose backend hangs: %v", err)
			}
			release()
			eventually(t, "the node to serve again", func() bool { return c.nodes[hung].Status().Serving })
			if got := c.read(hung, "k"); got != "2" {
				t.Errorf("read %q", got)
			}
		})
	}
}

// busyStore says that what it applies may take long.
type busyStore struct{ Store }

func (busyStore) Busy() bool { return true }

// What takes as long everywhere is not taken for a backend that hangs.
func TestBusyBackendIsNotSilent(t *testing.T) {
	c := newTestCluster(t, 1, func(cfg *Config) { cfg.Store = busyStore{cfg.Store} })
	c.propose(0, "k=1")
	r := c.nodes[0]
	c.stop(0) // its loop is ended, so that its turn can be taken here
	for _, call := range []uint64{0, 1} {
		r.call.Store(call)
		for range 10 * lookStall / r.cfg.Tick {
			r.watchCall()
		}
		if p := r.backendProblem.Load(); p != nil {
			t.Errorf("call %d: %v", call, *p)
		}
	}
}

// workingStore is busy whenever it hangs and is said to work.
type workingStore struct {
	*mapStore
	working *atomic.Bool
}

func (s workingStore) Busy() bool { return s.working.Load() }

// Calls wait for what is as slow everywhere, beyond their time limit, and no leader hands over for it.
func TestBusyBackendIsWaitedFor(t *testing.T) {
	t.Parallel()
	working := new(atomic.Bool)
	c := newTestCluster(t, 3, func(cfg *Config) {
		unhurried(cfg)
		cfg.Store, cfg.Timeout = workingStore{cfg.Store.(*mapStore), working}, time.Second
	})
	leader := c.leader()
	c.propose(leader, "k=1")
	c.converged()
	term := c.nodes[leader].Status().Term
	working.Store(true)
	var release []func()
	for _, s := range c.stores {
		release = append(release, s.hang())
	}
	var wg sync.WaitGroup
	for i, n := range c.nodes {
		wg.Go(func() {
			if _, err := n.Propose(context.Background(), [][]byte{[]byte(fmt.Sprintf("k%d=1", i))}); err != nil {
				t.Errorf("a write at node %d: %v", i, err)
			}
		})
		eventually(t, "the write to be committed", func() bool { return n.Status().Commit > n.Status().Applied })
		wg.Go(func() {
			if err := n.Read(context.Background(), func(context.Context) error { return nil }); err != nil {
				t.Errorf("a read at node %d: %v", i, err)
			}
		})
	}
	time.Sleep(2*applyStall + 2*time.Second) // longer than any of the limits
	for i, n := range c.nodes {
		if s := n.Status(); !s.Serving || s.Term != term {
			t.Errorf("node %d: %+v", i, s)
		}
	}
	for _, r := range release {
		r()
	}
	wg.Wait()
	working.Store(false)
	c.converged()
}

// Where entries pile up behind what a leader is busy with, others are not busy.
func TestBusyLeaderFarBehindHandsOver(t *testing.T) {
	working := new(atomic.Bool)
	c := newTestCluster(t, 3, func(cfg *Config) {
		cfg.Store, cfg.MaxApplyLag = workingStore{cfg.Store.(*mapStore), working}, 2*busyLag
	})
	leader := c.leader()
	c.propose(leader, "k=1")
	working.Store(true)
	release := c.stores[leader].hang()
	defer release()
	other := (leader + 1) % 3
	for range 3 {
		c.propose(other, "k=2")
	}
	eventually(t, "another leader", func() bool {
		l := c.nodes[other].Status().Leader
		return l != 0 && l != c.nodes[leader].identity.ID
	})
}

func TestBackendFailsOnTheLeader(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	leader := c.leader()
	c.propose(leader, "k=1")
	c.stores[leader].fail(errBackendDown)
	other := (leader + 1) % 3
	c.propose(other, "k=2") // the others go on
	eventually(t, "the failing node to say so", func() bool { return !c.nodes[leader].Status().Serving })
	err := c.nodes[leader].Read(context.Background(), func(context.Context) error { return nil })
	if !errors.Is(err, ErrNotDone) || !strings.Contains(err.Error(), errBackendDown.Error()) {
		t.Fatalf("read from a node without backend: %v", err)
	}
	eventually(t, "another leader", func() bool { return c.nodes[other].Status().Leader != c.nodes[leader].identity.ID })
	c.stores[leader].fail(nil)
	eventually(t, "the node to serve again", func() bool { return c.nodes[leader].Status().Serving })
	if got := c.read(leader, "k"); got != "2" {
		t.Fatalf("read %q", got)
	}
}
