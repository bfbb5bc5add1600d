package raft

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A member whose directory and backend are replaced by old copies says so and stops, for good: it would vote without what it had
// acknowledged.
func TestOldCopyOfDirectory(t *testing.T) {
	// No other leads meanwhile, who would not know what was acknowledged.
	c := newTestCluster(t, 3, func(cfg *Config) { cfg.ElectionTicks = 1000 })
	leader := c.leader()
	old := (leader + 1) % 3
	c.propose(leader, "a=1")
	c.converged()
	c.stop(old)
	saved := t.TempDir()
	if err := os.CopyFS(saved, os.DirFS(c.dirs[old])); err != nil {
		t.Fatal(err)
	}
	position, data := c.stores[old].snapshot()
	c.start(old)
	for i := range 20 {
		c.propose(leader, fmt.Sprintf("a=%d", i))
	}
	c.converged()
	c.stop(old)
	c.dirs[old] = saved
	c.stores[old].mu.Lock()
	c.stores[old].position, c.stores[old].data = position, data
	c.stores[old].mu.Unlock()

	c.start(old)
	if c.leader() != leader {
		t.Fatal("another member leads")
	}
	eventually(t, "the member to notice", func() bool { return c.nodes[old].Err() != nil })
	var forgotten *forgottenError
	if err := c.nodes[old].Err(); !errors.As(err, &forgotten) || forgotten.Acknowledged <= forgotten.Last {
		t.Errorf("it stopped for %v", err)
	}
	c.stop(old)
	again, err := New(c.config(old))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Start(t.Context()); !errors.As(err, &forgotten) {
		t.Errorf("started again: %v", err)
	}
	c.propose(leader, "a=last")

	cfg := c.config(old)
	if _, err := ForceSingleMember(cfg); err != nil {
		t.Fatal(err)
	}
	if err := checkForgotten(saved); err != nil {
		t.Errorf("as the only member: %v", err)
	}
}

// A first member that lost its log, and whose backend is empty too, does not begin anew as what it was.
func TestLostLog(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.leader()
	c.propose(0, "a=1")
	c.stop(0)
	if err := os.RemoveAll(filepath.Join(c.dirs[0], walDir)); err != nil {
		t.Fatal(err)
	}
	c.stores[0].wipe()
	again, err := New(c.config(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "has had a log") {
		t.Errorf("it starts: %v", err)
	}
}
