package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// The words of these tests.
var (
	within = clustertest.Within
	check  = clustertest.Check
)

var (
	figuresFlag = flag.Bool("figures", false, "measure the figures of docs/testing.md")
	keysFlag    = flag.Int("keys", 1_000_000, "how many keys the figures are of")
	timesFlag   = flag.Int("times", 5, "how often the members are compared")
	killsFlag   = flag.Int("kills", 50, "how often the leader is killed")
)

// plainCluster is three nodes of the program as it is delivered, with nothing between them.
func plainCluster(t *testing.T, flags ...string) *cluster.Cluster {
	t.Helper()
	if !*figuresFlag {
		t.Skip("run make figures")
	}
	dir := t.TempDir()
	check(t, cluster.Build(dir, "", "../../cmd/redis_repl"))
	c, err := cluster.New(cluster.Options{Binary: filepath.Join(dir, "redis_repl"), Dir: t.TempDir(), Flags: flags})
	check(t, err)
	t.Cleanup(func() { check(t, c.Kill()) })
	check(t, c.StartReady(within(t, startTimeout)))
	return c
}

// TestFigureFailover kills the leader again and again: how long until a client of the others has a write acknowledged
// that it sent after the kill.
func TestFigureFailover(t *testing.T) {
	c := plainCluster(t)
	var first, all []time.Duration
	for range *killsFlag {
		leader, err := c.Leader(within(t, startTimeout))
		check(t, err)
		before, err := leader.Status(within(t, startTimeout))
		check(t, err)
		time.Sleep(rand.N(300 * time.Millisecond)) // anywhere between two heartbeats
		check(t, leader.Kill())
		took := afterKill(t, c, leader)
		first, all = append(first, slices.Min(took)), append(all, took...)
		next, err := c.Leader(within(t, startTimeout), leader)
		check(t, err)
		after, err := next.Status(within(t, startTimeout))
		check(t, err)
		if elections := after.GetTerm() - before.GetTerm(); elections > 1 {
			t.Logf("%d elections until there was a leader: a write after %v", elections, slices.Min(took).Round(time.Millisecond))
		}
		check(t, leader.StartReady(within(t, startTimeout)))
	}
	t.Logf("kill -9 of the leader to the first acknowledged write: %s", spread(first))
	t.Logf("to the first acknowledged write of each other node: %s", spread(all))
}

// afterKill returns for each node but dead how long its client waits for its first acknowledged write.
func afterKill(t *testing.T, c *cluster.Cluster, dead *cluster.Node) []time.Duration {
	t.Helper()
	begin := time.Now()
	ctx := within(t, startTimeout)
	var mu sync.Mutex
	var wg sync.WaitGroup
	var took []time.Duration
	for _, n := range c.Nodes {
		if n == dead {
			continue
		}
		wg.Go(func() {
			conn := connect(n, 10*time.Second)
			defer conn.Close()
			for ctx.Err() == nil {
				if conn.Set(ctx, "probe", n.Name, 0).Err() == nil {
					mu.Lock()
					took = append(took, time.Since(begin))
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	check(t, ctx.Err())
	return took
}

func spread(d []time.Duration) string {
	slices.Sort(d)
	round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	return fmt.Sprintf("p50 %v, p90 %v, max %v, n=%d", round(d[len(d)/2]), round(d[len(d)*9/10]), round(d[len(d)-1]), len(d))
}

// TestFigureSize measures what depends on the size of the data.
func TestFigureSize(t *testing.T) {
	c := plainCluster(t)
	begin := time.Now()
	fill(t, c.Nodes[0], *keysFlag)
	t.Logf("%d keys written in %v", *keysFlag, time.Since(begin).Round(time.Millisecond))
	check(t, awaitApplied(within(t, time.Minute), c))
	leader, err := c.Leader(within(t, startTimeout))
	check(t, err)
	follower, err := c.Follower(within(t, startTimeout))
	check(t, err)

	for _, n := range []*cluster.Node{leader, follower} {
		stalls(t, "nothing else, client of "+roleOf(n, leader), n, func() { time.Sleep(5 * time.Second) })
	}
	for _, n := range []*cluster.Node{leader, follower} {
		stalls(t, "a snapshot on the "+roleOf(n, leader)+", client of it", n, func() {
			check(t, askFor(t, n, func(ctx context.Context, c nexuspb.NexusClient) error {
				_, err := c.Snapshot(ctx, &nexuspb.SnapshotRequest{})
				return err
			}))
		})
	}
	check(t, follower.Kill())
	begin = time.Now()
	check(t, serves(t, follower))
	t.Logf("restart of a node, backend as it was: serving after %v", time.Since(begin).Round(time.Millisecond))

	check(t, follower.Kill())
	check(t, follower.Backend.Kill())
	begin = time.Now()
	check(t, follower.Backend.Start())
	check(t, serves(t, follower))
	t.Logf("restart of a node, backend empty, filled from the node's snapshot: serving after %v", time.Since(begin).Round(time.Millisecond))

	added, err := c.AddNode()
	check(t, err)
	check(t, added.Backend.StartReady(within(t, startTimeout)))
	check(t, added.Start())
	begin = time.Now()
	stalls(t, "a node joins, client of the leader", leader, func() {
		check(t, askFor(t, leader, func(ctx context.Context, c nexuspb.NexusClient) error {
			_, err := c.AddNode(ctx, &nexuspb.AddNodeRequest{Url: added.URL()})
			return err
		}))
	})
	t.Logf("snapshot sent to a new node, which then votes: %v", time.Since(begin).Round(time.Millisecond))
	check(t, reads(within(t, time.Minute), added, *keysFlag))
	t.Logf("and serves from its backend: %v", time.Since(begin).Round(time.Millisecond))
	logLines(t, added, "snapshot")
}

// logLines repeats what a node has logged about something.
func logLines(t *testing.T, n *cluster.Node, about ...string) {
	t.Helper()
	for line := range strings.Lines(n.Output()) {
		if slices.ContainsFunc(about, func(what string) bool { return strings.Contains(line, what) }) {
			t.Log(n.Name, strings.TrimSpace(line))
		}
	}
}

// TestFigureVerify measures how long writes take while the members are compared.
func TestFigureVerify(t *testing.T) {
	c := plainCluster(t)
	fill(t, c.Nodes[0], *keysFlag)
	check(t, awaitApplied(within(t, time.Minute), c))
	leader, err := c.Leader(within(t, startTimeout))
	check(t, err)
	follower, err := c.Follower(within(t, startTimeout))
	check(t, err)
	for _, n := range []*cluster.Node{leader, follower} {
		stalls(t, "nothing else, client of the "+roleOf(n, leader), n, func() { time.Sleep(5 * time.Second) })
	}
	defer func() {
		for _, n := range c.Nodes {
			logLines(t, n, "msg=snapshot", "msg=digested")
		}
	}()
	for range *timesFlag {
		for _, n := range []*cluster.Node{leader, follower} {
			stalls(t, "verify, client of the "+roleOf(n, leader), n, func() {
				check(t, askFor(t, n, func(ctx context.Context, c nexuspb.NexusClient) error {
					_, err := c.Verify(ctx, &nexuspb.VerifyRequest{})
					return err
				}))
			})
		}
	}
}

func roleOf(n, leader *cluster.Node) string {
	if n == leader {
		return "leader"
	}
	return "follower"
}

func keyOf(i int) string { return fmt.Sprintf("key:%09d", i) }

// fill writes n keys with values of 100 bytes.
func fill(t *testing.T, node *cluster.Node, n int) {
	t.Helper()
	const writers, batch = 4, 500
	value := strings.Repeat("v", 100)
	ctx := within(t, 10*time.Minute)
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			conn := connect(node, time.Minute)
			defer conn.Close()
			for at := w * batch; at < n && errs[w] == nil; at += writers * batch {
				_, errs[w] = conn.Pipelined(ctx, func(p redis.Pipeliner) error {
					for i := at; i < min(at+batch, n); i++ {
						p.Set(ctx, keyOf(i), value, 0)
					}
					return nil
				})
			}
		})
	}
	wg.Wait()
	check(t, errors.Join(errs...))
}

// awaitApplied waits until all backends hold what is committed.
func awaitApplied(ctx context.Context, c *cluster.Cluster) error {
	for _, n := range c.Nodes {
		if err := reads(ctx, n, *keysFlag); err != nil {
			return err
		}
	}
	return nil
}

// reads waits until a node answers what was written last, from a backend that holds it all.
func reads(ctx context.Context, n *cluster.Node, keys int) error {
	conn := connect(n, 10*time.Second)
	defer conn.Close()
	for {
		got, err := conn.Get(ctx, keyOf(keys-1)).Result()
		switch {
		case err == nil && len(got) == 100:
			return nil
		case errors.Is(err, redis.Nil):
			return fmt.Errorf("%s does not have the key written last", n.Name)
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", n.Name, err)
		}
		sleep(ctx, 10*time.Millisecond)
	}
}

// serves starts a node and waits until it answers a read.
func serves(t *testing.T, n *cluster.Node) error {
	t.Helper()
	if err := n.Start(); err != nil {
		return err
	}
	return reads(within(t, 2*time.Minute), n, *keysFlag)
}

func askFor(t *testing.T, n *cluster.Node, f func(context.Context, nexuspb.NexusClient) error) error {
	t.Helper()
	return ask(within(t, 5*time.Minute), n, 5*time.Minute, f)
}

// stalls logs the slowest writes of a client that writes all the time while during runs, and how late a sleeper woke
// meanwhile, which is what the machine does to everybody.
func stalls(t *testing.T, what string, n *cluster.Node, during func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var took, late []time.Duration
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			begin := time.Now()
			time.Sleep(time.Millisecond)
			late = append(late, time.Since(begin)-time.Millisecond)
		}
	})
	wg.Go(func() {
		conn := connect(n, 10*time.Second)
		defer conn.Close()
		for i := 0; ctx.Err() == nil; i++ {
			begin := time.Now()
			if err := conn.Set(context.WithoutCancel(ctx), "writer", i, 0).Err(); err != nil {
				failed = errors.Join(failed, err)
			}
			took = append(took, time.Since(begin))
			time.Sleep(time.Millisecond)
		}
	})
	begin := time.Now()
	during()
	lasted := time.Since(begin)
	cancel()
	wg.Wait()
	check(t, failed)
	t.Logf("writes beside %s, which took %v: %s; a sleeper woke late by at most %v", what, lasted.Round(time.Millisecond), spread(took),
		slices.Max(late).Round(time.Millisecond))
}
