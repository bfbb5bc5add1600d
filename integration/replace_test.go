package integration

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// A machine is lost with its disk and its redis-server, and replaced in one command; another is lost and never comes back.
// What would leave no majority is refused unless forced.
func TestLostMachines(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	leader := must(c.Leader(within(t, 40*time.Second)))(t)
	lost := must(c.Follower(within(t, 40*time.Second)))(t)
	l := startLoad(t, survivors(c, lost), 3)
	l.awaitProgress(t, 100)
	loseMachine(t, lost)
	l.awaitProgress(t, 50)

	other := survivors(&cluster.Cluster{Nodes: survivors(c, lost)}, leader)[0]
	if out, err := repl(t, leader, "removeNode", other.URL()); err == nil || !strings.Contains(out, "would lose its quorum") {
		t.Errorf("a majority was given up: %v: %s", err, out)
	}

	check(t, lost.Backend.StartReady(within(t, 40*time.Second)))
	check(t, lost.Start())
	expectMembers(t, other, c.Nodes, "replaceNode", lost.URL())
	check(t, lost.AwaitReady(within(t, 40*time.Second)))
	l.awaitProgress(t, 50)

	// Replaced by a machine with another address.
	loseMachine(t, lost)
	spare := must(c.AddNode())(t)
	check(t, spare.Backend.StartReady(within(t, 40*time.Second)))
	check(t, spare.Start())
	expectMembers(t, leader, survivors(c, lost), "replaceNode", lost.URL(), spare.URL())
	check(t, spare.AwaitReady(within(t, 40*time.Second)))

	// Dead, and not replaced.
	loseMachine(t, other)
	rest := []*cluster.Node{leader, spare}
	expectMembers(t, leader, rest, "removeNode", other.URL())
	l.awaitProgress(t, 50)
	l.finish()
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))

	// Of two one is removed by force, though it is not reachable and the majority with it.
	loseMachine(t, spare)
	if out, err := repl(t, leader, "-timeout", "4s", "removeNode", "-force", spare.URL()); err == nil {
		t.Errorf("a member alone commits what needs two: %s", out)
	}
}

// loseMachine takes a node away with all that it had.
func loseMachine(t *testing.T, n *cluster.Node) {
	t.Helper()
	check(t, n.Kill())
	check(t, n.Backend.Kill())
	check(t, os.RemoveAll(n.DataDir))
}
