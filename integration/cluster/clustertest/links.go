package clustertest

import (
	"testing"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/network"
)

// Links is a cluster with a network between the nodes.
type Links struct {
	*cluster.Cluster
	Net *network.Network
}

// NewLinks puts a network between the nodes of c, which was made with cluster.Options.Apart and is not started. It is gone
// when the test ends.
func NewLinks(t *testing.T, c *cluster.Cluster) *Links {
	t.Helper()
	l := &Links{Cluster: c}
	l.Net = network.New(func() map[string]int {
		pids := make(map[string]int)
		for _, n := range c.Nodes {
			pids[n.Name] = n.Pid()
		}
		return pids
	})
	t.Cleanup(l.Net.Close)
	for _, n := range c.Nodes {
		if err := l.Net.Listen(n.Name, cluster.Address(n.Raft), n.RaftAddr()); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// CutOff cuts all ways of the network from and to n.
func (l *Links) CutOff(n *cluster.Node) {
	for _, other := range l.Nodes {
		if other != n {
			l.Net.Set(n.Name, other.Name, func(r *network.Rule) { r.Cut = true })
			l.Net.Set(other.Name, n.Name, func(r *network.Rule) { r.Cut = true })
		}
	}
}
