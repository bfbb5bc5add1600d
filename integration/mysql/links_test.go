package mysql

import (
	"io"
	"net"
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
		forward(t, cluster.Address(n.Ports.Client), n.Addr())
	}
	check(t, c.StartReady(within(t, 90*time.Second)))
	return l
}

// forward passes on what followers relay to where the leader says that it serves clients. It is no part of the network, which
// looks for the process behind each connection, and clients come back in storms.
func forward(t *testing.T, from, to string) {
	t.Helper()
	lis, err := net.Listen("tcp", from)
	check(t, err)
	t.Cleanup(func() { lis.Close() })
	go func() {
		for {
			near, err := lis.Accept()
			if err != nil {
				return
			}
			far, err := net.DialTimeout("tcp", to, time.Second)
			if err != nil {
				near.Close()
				continue
			}
			for from, to := range map[net.Conn]net.Conn{near: far, far: near} {
				go func() {
					_, _ = io.Copy(to, from) // either end closing is how it ends
					near.Close()
					far.Close()
				}()
			}
		}
	}()
}

// cutOff cuts the ways of raft from and to n.
func (l *links) cutOff(n *cluster.Node) {
	for _, other := range l.Nodes {
		if other != n {
			l.net.Set(n.Name, other.Name, func(r *network.Rule) { r.Cut = true })
			l.net.Set(other.Name, n.Name, func(r *network.Rule) { r.Cut = true })
		}
	}
}
