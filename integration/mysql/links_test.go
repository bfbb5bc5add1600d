package mysql

import (
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/network"
)

// links is a cluster with a network between the nodes.
type links struct {
	*cluster.Cluster
	net *network.Network
}

func newLinks(t *testing.T, flags ...string) *links {
	t.Helper()
	c := newCluster(t, cluster.Options{Apart: true, Flags: flags})
	l := &links{Cluster: c}
	l.net = network.New(func() map[string]int {
		pids := make(map[string]int)
		for _, n := range c.Nodes {
			pids[n.Name] = n.Pid()
		}
		return pids
	})
	t.Cleanup(l.net.Close)
	for _, n := range c.Nodes {
		check(t, l.net.Listen(n.Name, cluster.Address(n.Raft), n.RaftAddr()))
		// Followers relay clients to where the leader serves its own.
		check(t, l.net.Listen(n.Name, cluster.Address(n.Ports.Client), n.Addr()))
	}
	check(t, c.StartReady(within(t, 90*time.Second)))
	return l
}

// cutOff cuts all ways from and to n.
func (l *links) cutOff(n *cluster.Node) {
	for _, other := range l.Nodes {
		if other != n {
			l.net.Set(n.Name, other.Name, func(r *network.Rule) { r.Cut = true })
			l.net.Set(other.Name, n.Name, func(r *network.Rule) { r.Cut = true })
		}
	}
}
