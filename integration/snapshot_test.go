package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// often makes nodes take a snapshot every few log entries.
var often = []string{"-nexus-snapshot-count", "50"}

// snapshotAbove returns a condition: the node has a snapshot of a later index.
func snapshotAbove(t *testing.T, n *cluster.Node, index uint64) func() error {
	return func() error {
		status, err := n.Status(within(t, time.Second))
		if err == nil && status.GetSnapshot() <= index {
			err = fmt.Errorf("%s: its snapshot is at %d, want one after %d", n.Name, status.GetSnapshot(), index)
		}
		return err
	}
}

// TestFarBehind keeps a node away until the others have dropped the log that it needs, and adds one that has nothing.
func TestFarBehind(t *testing.T) {
	t.Parallel()
	c := startCluster(t, often...)
	l := startLoad(t, c.Nodes, 6)
	l.awaitProgress(t, 100)
	away := must(c.Follower(within(t, 40*time.Second)))(t)
	last := must(away.Status(within(t, time.Second)))(t).GetApplied()
	check(t, away.Kill())
	for _, n := range c.Nodes {
		if n != away {
			eventually(t, 40*time.Second, snapshotAbove(t, n, last+200))
		}
	}
	check(t, away.StartReady(within(t, 40*time.Second)))
	eventually(t, 40*time.Second, func() error {
		if !strings.Contains(away.Output(), "backend filled from a snapshot") {
			return fmt.Errorf("%s was not filled from a snapshot", away.Name)
		}
		return nil
	})
	added := must(c.AddNode())(t)
	check(t, added.Backend.StartReady(within(t, 40*time.Second)))
	check(t, added.Start())
	if out, err := repl(t, c.Nodes[0], "addNode", added.URL()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	check(t, added.AwaitReady(within(t, 40*time.Second)))
	l.awaitProgress(t, 100)
	l.finish()
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
}

// snapshotFailpoints are where a node dies while it takes a snapshot or fills its backend from one.
var snapshotFailpoints = []string{"raft.after-snapshot-body", "redis.before-restore", "redis.after-replicaof", "redis.before-marker"}

// TestCrashAroundSnapshots lets a node die at each of these places. When it comes back, its backend is as those of the
// others.
func TestCrashAroundSnapshots(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Binary: failingNodeBinary, Flags: often})
	check(t, c.StartReady(within(t, 40*time.Second)))
	l := startLoad(t, c.Nodes, 6)
	for _, n := range c.Nodes {
		eventually(t, 40*time.Second, snapshotAbove(t, n, 0))
	}
	for _, place := range snapshotFailpoints {
		victim := must(c.Follower(within(t, 40*time.Second)))(t)
		check(t, victim.Stop(10*time.Second))
		if !strings.HasPrefix(place, "raft.") {
			check(t, victim.Backend.Kill())
			check(t, victim.Backend.StartReady(within(t, 40*time.Second)))
		}
		victim.Env = []string{"NEXUS_FAILPOINT=" + place}
		check(t, victim.Start())
		select {
		case <-victim.Exited():
		case <-time.After(40 * time.Second):
			t.Fatalf("%s does not die at %s\n%s", victim.Name, place, victim.Output())
		}
		if err := victim.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("%s ended by itself instead of dying at %s: %v\n%s", victim.Name, place, err, victim.Output())
		}
		victim.Env = nil
		check(t, victim.StartReady(within(t, 40*time.Second)))
		l.awaitProgress(t, 50)
	}
	l.finish()
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
}

// TestSnapshotAfterAnother asks for one snapshot right after another, and for one while the redis-server saves: it has one
// child at a time, and whoever asks waits.
func TestSnapshotAfterAnother(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	n := must(c.Leader(within(t, 40*time.Second)))(t)
	check(t, fillOneByOne(within(t, 40*time.Second), n, 100))
	backend := n.Backend.Client(0)
	defer backend.Close()
	for i := range 4 {
		check(t, client(t, n, 0).Set(within(t, 40*time.Second), "k", i, 0).Err())
		if i == 3 {
			check(t, backend.ConfigSet(within(t, 40*time.Second), "rdb-key-save-delay", "5000").Err())
			eventually(t, 40*time.Second, func() error { return backend.BgSave(within(t, time.Second)).Err() })
		}
		if out, err := repl(t, n, "snapshot"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		status := must(n.Status(within(t, 40*time.Second)))(t)
		if status.GetSnapshot() != status.GetApplied() {
			t.Errorf("the snapshot is at %d of %d", status.GetSnapshot(), status.GetApplied())
		}
	}
}
