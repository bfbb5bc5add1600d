package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

// TestRollingUpgrade replaces the nodes of a cluster of the previous version one by one, under load, with values among it that
// a cluster of this version puts into the log in pieces: an older node would stop at them.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	old := clustertest.PreviousVersion(t, "redis_repl")
	c := newCluster(t, cluster.Options{Binary: old, Flags: []string{"-nexus-snapshot-count", "500"}})
	check(t, c.StartReady(within(t, 40*time.Second)))
	l := startLoad(t, c.Nodes, 4)
	large := startLarge(t, c)
	l.awaitProgress(t, 50)
	for i, n := range c.Nodes {
		runScripts(t, c, fmt.Sprint("before ", i))
		large.awaitProgress(t, 3)
		exchange(t, n, nodeBinary)
		// Old and new nodes together: each runs what the other has put into the log.
		runScripts(t, c, fmt.Sprint("after ", i))
		l.awaitProgress(t, 50)
		// The new one leads older ones, for longer than it takes to ask what they read.
		transferLeader(t, c, n)
		large.awaitProgress(t, 8)
		check(t, c.AwaitReady(within(t, 40*time.Second)))
	}
	// A node that lost everything is filled by one of the new version.
	last := c.Nodes[2]
	check(t, last.Backend.Kill())
	check(t, last.Backend.StartReady(within(t, 40*time.Second)))
	check(t, last.AwaitReady(within(t, 40*time.Second)))
	l.awaitProgress(t, 50)
	l.finish()
	large.finish()
	large.verify(t)
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
	if out, err := repl(t, c.Nodes[0], "verify"); err != nil || strings.Count(out, "equal") != 3 {
		t.Errorf("%v: %s", err, out)
	}
}

// largeBytes is the size of a value that is put into the log in pieces, of 1 MiB, where every node reads them.
const largeBytes = 8 << 20

// largeLoad writes such a value through one node after the other.
type largeLoad struct {
	c      *cluster.Cluster
	value  string
	acked  atomic.Int64
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func startLarge(t *testing.T, c *cluster.Cluster) *largeLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &largeLoad{c: c, value: strings.Repeat("largest!", largeBytes/8), cancel: cancel}
	l.wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if l.set(context.WithoutCancel(ctx), c.Nodes[i%len(c.Nodes)]) == nil {
				l.acked.Add(1)
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
	t.Cleanup(l.finish)
	return l
}

func (l *largeLoad) set(ctx context.Context, n *cluster.Node) error {
	db := n.Client(5)
	defer db.Close()
	return db.Set(ctx, "large", l.value, 0).Err()
}

func (l *largeLoad) finish() {
	l.cancel()
	l.wg.Wait()
}

// awaitProgress waits until n more writes are acknowledged.
func (l *largeLoad) awaitProgress(t *testing.T, n int64) {
	t.Helper()
	want := l.acked.Load() + n
	eventually(t, 60*time.Second, func() error {
		if got := l.acked.Load(); got < want {
			return fmt.Errorf("%d of %d large values are acknowledged", got, want)
		}
		return nil
	})
}

// verify looks for the value at every node, and for pieces in the log, since no older node is left.
func (l *largeLoad) verify(t *testing.T) {
	t.Helper()
	ctx := within(t, 60*time.Second)
	n := l.c.Nodes[0]
	committed := func() float64 {
		return must(strconv.ParseFloat(clustertest.Metric(t, n, "nexus_raft_commit_index"), 64))(t)
	}
	eventually(t, 40*time.Second, func() error {
		before := committed()
		if err := l.set(ctx, n); err != nil {
			return err
		}
		if entries := committed() - before; entries < largeBytes>>20 {
			return fmt.Errorf("a large value took %v entries", entries)
		}
		return nil
	})
	for _, n := range l.c.Nodes {
		if got, err := client(t, n, 5).Get(ctx, "large").Result(); got != l.value || err != nil {
			t.Errorf("%s has a large value of %d bytes, %v", n.Name, len(got), err)
		}
	}
	check(t, client(t, n, 5).Del(ctx, "large").Err())
	t.Logf("%d large values acknowledged", l.acked.Load())
}

// exchange starts a node again with another program.
func exchange(t *testing.T, n *cluster.Node, program string) {
	t.Helper()
	check(t, n.Stop(20*time.Second))
	n.Path = program
	check(t, n.Start())
	check(t, n.AwaitReady(within(t, 40*time.Second)))
}

// runScripts has every node run a script and a function that write, and read what they wrote at another node.
func runScripts(t *testing.T, c *cluster.Cluster, value string) {
	t.Helper()
	ctx := within(t, 40*time.Second)
	for i, n := range c.Nodes {
		key := fmt.Sprint("script:", i)
		eventually(t, 40*time.Second, func() error {
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
	check(t, c.StartReady(within(t, 40*time.Second)))
	n := c.Nodes[0]
	check(t, n.Stop(10*time.Second))
	path := filepath.Join(n.DataDir, "identity.json")
	identity := string(must(os.ReadFile(path))(t))
	later := strings.Replace(identity, `"version":1`, `"version":2`, 1)
	if later == identity {
		later = strings.Replace(identity, `"version": 1`, `"version": 2`, 1)
	}
	check(t, os.WriteFile(path, []byte(later), 0o600))
	out, err := exec.CommandContext(within(t, 40*time.Second), nodeBinary, n.Args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "was written by a newer version, this program reads version 1") {
		t.Errorf("%v: %s", err, out)
	}
	if got := string(must(os.ReadFile(path))(t)); got != later {
		t.Errorf("the directory was changed: %s", got)
	}
	check(t, os.WriteFile(path, []byte(identity), 0o600))
	check(t, n.Start())
	check(t, n.AwaitReady(within(t, 40*time.Second)))
}
