package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// failpoints are the places around the transaction that changes the backend at which a node dies.
var failpoints = []string{
	"redis.before-exec", "redis.after-exec-write", "redis.after-exec",
	"raft.before-save", "raft.after-save", "raft.after-apply",
}

// TestCrashAroundApply lets leader and follower die at each of the places, under load. The counters show what was
// skipped or repeated when the node comes back.
func TestCrashAroundApply(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Binary: failingNodeBinary})
	check(t, c.StartReady(within(t, 40*time.Second)))
	l := startLoad(t, c.Nodes, 6)
	for _, place := range failpoints {
		for _, leads := range []bool{true, false} {
			dieAt(t, c, l, place, leads)
		}
	}
	l.awaitProgress(t, 200)
	l.finish()
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
}

// dieAt restarts a node with a failpoint armed, waits until it dies of it under load, and restarts it without. Without
// load a node passes the places only now and then, so that it is the leader in time if it shall be.
func dieAt(t *testing.T, c *cluster.Cluster, l *load, place string, leads bool) {
	t.Helper()
	const hits = 150
	victim := must(c.Follower(within(t, 40*time.Second)))(t)
	l.pause()
	check(t, victim.Stop(10*time.Second))
	victim.Env = []string{fmt.Sprintf("NEXUS_FAILPOINT=%s:%d", place, hits)}
	check(t, victim.StartReady(within(t, 40*time.Second)))
	if leads {
		transferLeader(t, c, victim)
	}
	l.resume()
	select {
	case <-victim.Exited():
	case <-time.After(40 * time.Second):
		t.Fatalf("%s does not die at %s within 40 s under load", victim.Name, place)
	}
	if err := victim.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("%s ended by itself instead of dying at %s: %v\n%s", victim.Name, place, err, victim.Output())
	}
	victim.Env = nil
	check(t, victim.StartReady(within(t, 40*time.Second)))
	l.awaitProgress(t, 50)
}

// transferLeader makes n the leader.
func transferLeader(t *testing.T, c *cluster.Cluster, n *cluster.Node) {
	t.Helper()
	eventually(t, 40*time.Second, func() error {
		if out, err := repl(t, n, "transferLeader", n.URL()); err != nil {
			return fmt.Errorf("transferLeader %s: %w: %s", n.URL(), err, out)
		}
		leader, err := c.Leader(within(t, 40*time.Second))
		if err == nil && leader != n {
			err = fmt.Errorf("%s leads, want %s", leader.Name, n.Name)
		}
		return err
	})
}
