package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// TestRollingUpgrade replaces the nodes of a cluster of the previous version one by one, under load.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	old := clustertest.PreviousVersion(t, "redis_repl")
	c := newCluster(t, cluster.Options{Binary: old, Flags: []string{"-nexus-snapshot-count", "500"}})
	check(t, c.StartReady(within(t, 30*time.Second)))
	l := startLoad(t, c.Nodes, 4)
	l.awaitProgress(t, 50)
	for i, n := range c.Nodes {
		runScripts(t, c, fmt.Sprint("before ", i))
		exchange(t, n, nodeBinary)
		// Old and new nodes together: each runs what the other has put into the log.
		runScripts(t, c, fmt.Sprint("after ", i))
		l.awaitProgress(t, 50)
	}
	// A node that lost everything is filled by one of the new version.
	last := c.Nodes[2]
	check(t, last.Backend.Kill())
	check(t, last.Backend.StartReady(within(t, 10*time.Second)))
	check(t, last.AwaitReady(within(t, 30*time.Second)))
	l.awaitProgress(t, 50)
	l.finish()
	l.verify(t, must(c.AwaitEqual(within(t, 20*time.Second)))(t))
	if out, err := repl(t, c.Nodes[0], "verify"); err != nil || strings.Count(out, "equal") != 3 {
		t.Errorf("%v: %s", err, out)
	}
}

// exchange starts a node again with another program.
func exchange(t *testing.T, n *cluster.Node, program string) {
	t.Helper()
	check(t, n.Stop(20*time.Second))
	n.Path = program
	check(t, n.Start())
	check(t, n.AwaitReady(within(t, 30*time.Second)))
}

// runScripts has every node run a script and a function that write, and read what they wrote at another node.
func runScripts(t *testing.T, c *cluster.Cluster, value string) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	for i, n := range c.Nodes {
		key := fmt.Sprint("script:", i)
		eventually(t, 15*time.Second, func() error {
			db := client(t, n, 5)
			if err := db.Eval(ctx, "redis.call('set', KEYS[1], ARGV[1], 'EX', 1000); return redis.call('incr', 'scripts')", []string{key}, value).Err(); err != nil {
				return err
			}
			return readBack(ctx, t, c.Nodes[(i+1)%len(c.Nodes)], key, value)
		})
	}
}

func readBack(ctx context.Context, t *testing.T, n *cluster.Node, key, want string) error {
	t.Helper()
	got, err := client(t, n, 5).Get(ctx, key).Result()
	if err == nil && got != want {
		t.Errorf("%s reads %q of %s, want %q", n.Name, got, key, want)
	}
	return err
}

// TestDowngradeIsRefused: a data directory that a later version has written is not touched by this one.
func TestDowngradeIsRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Size: 1})
	check(t, c.StartReady(within(t, 30*time.Second)))
	n := c.Nodes[0]
	check(t, n.Stop(10*time.Second))
	path := filepath.Join(n.DataDir, "identity.json")
	identity := string(must(os.ReadFile(path))(t))
	later := strings.Replace(identity, `"version":1`, `"version":2`, 1)
	if later == identity {
		later = strings.Replace(identity, `"version": 1`, `"version": 2`, 1)
	}
	check(t, os.WriteFile(path, []byte(later), 0o600))
	out, err := exec.CommandContext(within(t, 20*time.Second), nodeBinary, n.Args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "was written by a newer version, this program reads version 1") {
		t.Errorf("%v: %s", err, out)
	}
	if got := string(must(os.ReadFile(path))(t)); got != later {
		t.Errorf("the directory was changed: %s", got)
	}
	check(t, os.WriteFile(path, []byte(identity), 0o600))
	check(t, n.Start())
	check(t, n.AwaitReady(within(t, 20*time.Second)))
}
