//go:build clients

package redis

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// The words of these tests.
var (
	within = clustertest.Within
	check  = clustertest.Check
)

var libraries = []library{
	{name: "go-redis v8", protocol: 2, argv: goProgram(&goRedis8)},
	{name: "go-redis v9", protocol: 3, argv: goProgram(&goRedis9)},
	{name: "go-redis v9, RESP2", protocol: 2, argv: goProgram(&goRedis9)},
	{name: "redis-py", protocol: 2, argv: pythonProgram("redispy.py")},
	{name: "ioredis 5", protocol: 2, argv: nodeProgram("ioredis.js", "ioredis5")},
	{name: "ioredis 6", protocol: 3, argv: nodeProgram("ioredis.js", "ioredis")},
	{name: "node-redis 5", protocol: 2, argv: nodeProgram("noderedis.js", "redis5"), stays: true},
	{name: "node-redis 6", protocol: 3, argv: nodeProgram("noderedis.js", "redis"), stays: true},
}

// TestTour goes through the interface of each library, against a plain redis-server first, to know that what it expects
// is what Redis does.
func TestTour(t *testing.T) {
	c := startCluster(t)
	leader, others := leaderFirst(t, c)
	plain := startRedis(t)
	for i, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			for _, target := range []struct{ name, addr string }{
				{"redis-server", plain.Addr()}, {"leader", leader.Addr()}, {"follower", others[0].Addr()},
			} {
				events := l.run(t, "tour", fmt.Sprintf("tour%d-%s", i, target.name), "", target.addr).awaitEnd(t, time.Minute)
				did := names(events, "did")
				t.Logf("%s at the %s: %d parts: %s", names(events, "version")[0], target.name, len(did), strings.Join(did, ", "))
			}
		})
	}
	awaitEqual(t, c)
}

// TestLeaderChange lets two programs of each library work, one at the leader and one at a follower, kills the leader
// under them, brings it back, and hands leadership over once more.
func TestLeaderChange(t *testing.T) {
	for i, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			c := startCluster(t)
			leader, others := leaderFirst(t, c)
			prefix := fmt.Sprintf("work%d", i)
			w := &work{prefix: prefix, programs: []*program{
				l.run(t, "work", prefix, "atleader", leader.Addr(), others[0].Addr(), others[1].Addr()),
				l.run(t, "work", prefix, "atfollower", others[0].Addr(), others[1].Addr()),
			}}
			changeLeader(t, c, leader, func(string) {
				if l.stays && !leader.Running() {
					w.awaitProgress(t, w.programs[1:], 10)
					return
				}
				w.awaitProgress(t, w.programs, 10)
			})
			w.finish(t)
			w.judge(t, c)
			awaitEqual(t, c)
		})
	}
}

// transfer hands leadership to a node.
func transfer(t *testing.T, c *cluster.Cluster, to *cluster.Node) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	for {
		leader, err := c.Leader(ctx)
		check(t, err)
		if leader == to {
			return
		}
		out, err := repl(ctx, leader, "transferLeader", to.URL())
		if err != nil && ctx.Err() != nil {
			t.Fatalf("transfer to %s: %v: %s", to.Name, err, out)
		}
	}
}

func repl(ctx context.Context, n *cluster.Node, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, replBinary, append([]string{n.GRPCAddr()}, args...)...).CombinedOutput()
	return string(out), err
}

// awaitEqual checks that the replicas hold the same: as their redis-servers tell, and as the nodes themselves find.
func awaitEqual(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	state, err := c.AwaitEqual(ctx)
	check(t, err)
	out, err := repl(ctx, c.Nodes[0], "verify")
	if err != nil || strings.Count(out, "equal") != len(c.Nodes) {
		t.Fatalf("repl verify: %v: %s", err, out)
	}
	t.Logf("%d replicas are equal, %d keys each", len(c.Nodes), len(state))
}

func startCluster(t *testing.T) *cluster.Cluster {
	t.Helper()
	c := clustertest.New(t, cluster.Options{Binary: nodeBinary})
	check(t, c.StartReady(within(t, 30*time.Second)))
	return c
}

func startRedis(t *testing.T) *cluster.Redis {
	t.Helper()
	port, err := cluster.FreePort()
	check(t, err)
	r, err := cluster.NewRedis("plain", t.TempDir(), port)
	check(t, err)
	check(t, r.StartReady(within(t, 10*time.Second)))
	t.Cleanup(func() {
		if err := r.Kill(); err != nil {
			t.Error(err)
		}
	})
	return r
}
