package raft

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
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
