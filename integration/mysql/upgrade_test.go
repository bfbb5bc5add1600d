package mysql

import (
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// TestRollingUpgrade replaces the nodes of a cluster of the previous version one by one, the leader last, while clients
// move money. Old and new nodes together execute what the others have put into the log.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Binary: clustertest.PreviousVersion(t, "mysql_repl"), Flags: []string{"-nexus-snapshot-count", "200"}})
	check(t, c.StartReady(within(t, 60*time.Second)))
	leader, err := c.Leader(within(t, 40*time.Second))
	check(t, err)
	l := newBank(t, open(t, leader))
	stop := l.run(t, c, 6)
	l.awaitCommits(t, 20)
	for range c.Nodes {
		n := nextOld(t, c)
		check(t, n.Stop(30*time.Second))
		n.Path = nodeBinary
		check(t, n.Start())
		check(t, n.AwaitReady(within(t, 60*time.Second)))
		l.awaitCommits(t, 20)
		execute(t, open(t, n), "CREATE TABLE bank."+strings.ReplaceAll(n.Name, "-", "_")+" (id INT PRIMARY KEY)")
	}
	// A server that lost everything is filled by a node of the new version.
	last := c.Nodes[2]
	emptyServer(t, last)
	check(t, last.AwaitReady(within(t, 60*time.Second)))
	l.awaitCommits(t, 20)
	stop()
	awaitEqual(t, c)
	l.audit(t, open(t, c.Nodes[0]))
	if out, err := repl(t, c.Nodes[0], "verify"); err != nil || strings.Count(out, "equal") != 3 {
		t.Errorf("%v: %s", err, out)
	}
}

// nextOld returns a node that has not been replaced, a follower if there is one.
func nextOld(t *testing.T, c *cluster.Cluster) (next *cluster.Node) {
	t.Helper()
	leader, err := c.Leader(within(t, 40*time.Second))
	check(t, err)
	for _, n := range c.Nodes {
		if n.Path != nodeBinary && (next == nil || next == leader) {
			next = n
		}
	}
	return next
}
