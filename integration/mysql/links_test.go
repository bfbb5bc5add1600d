package mysql

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

func newLinks(t *testing.T, flags ...string) *clustertest.Links {
	t.Helper()
	l := clustertest.NewLinks(t, newCluster(t, cluster.Options{Apart: true, Flags: flags}))
	for _, n := range l.Nodes {
		forward(t, cluster.Address(n.Ports.Client), n.Addr())
	}
	check(t, l.StartReady(within(t, 90*time.Second)))
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
