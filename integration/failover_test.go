package integration

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestKillLeader kills the leader under load, twice, and brings it back.
func TestKillLeader(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	l := startLoad(t, c.Nodes, 9)
	for range 2 {
		l.awaitProgress(t, 500)
		leader := must(c.Leader(within(t, 40*time.Second)))(t)
		check(t, leader.Kill())
		took := firstWrite(t, survivors(c, leader))
		t.Logf("%s was killed; a write is acknowledged after %v", leader.Name, took.Round(time.Millisecond))
		l.awaitProgress(t, 500)
		check(t, leader.StartReady(within(t, 40*time.Second)))
	}
	l.awaitProgress(t, 500)
	l.finish()
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
}

// TestKillAll kills everything under load at once, nodes and backends, as when power fails.
func TestKillAll(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	l := startLoad(t, c.Nodes, 6)
	l.awaitProgress(t, 1000)
	check(t, c.Kill())
	l.finish()
	check(t, c.StartReady(within(t, 40*time.Second)))
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
}

// TestPauseLeader stops the leader for longer than an election takes, and lets it go on: what it believes by then is
// wrong, and it must not say it.
func TestPauseLeader(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"-nexusLeaseBasedReads"}} {
		t.Run(fmt.Sprint("flags ", flags), func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, flags...)
			ctx := within(t, 60*time.Second)
			old := must(c.Leader(ctx))(t)
			db := client(t, old, 0)
			check(t, db.Set(ctx, "k", "old", 0).Err())

			// Reads wait in the sockets of the paused leader, and are answered by what it believes when it wakes up.
			check(t, old.Pause())
			answers := make(chan string, 8)
			var wg sync.WaitGroup
			for range cap(answers) {
				reader := client(t, old, 0)
				wg.Go(func() {
					if got, err := reader.Get(ctx, "k").Result(); err == nil {
						answers <- got
					}
				})
			}
			firstWrite(t, survivors(c, old))
			fresh := must(c.Leader(ctx, old))(t)
			check(t, client(t, fresh, 0).Set(ctx, "k", "new", 0).Err())
			check(t, old.Resume())
			if got, err := db.Get(ctx, "k").Result(); err == nil && got != "new" {
				t.Errorf("a leader that was paused answers %q, which was overwritten", got)
			}
			wg.Wait()
			close(answers)
			for got := range answers {
				if got != "new" {
					t.Errorf("a leader that was paused answers %q, which was overwritten", got)
				}
			}
			eventually(t, 40*time.Second, func() error {
				if got, err := db.Get(ctx, "k").Result(); err != nil || got != "new" {
					return fmt.Errorf("%q, %w", got, err)
				}
				return nil
			})
		})
	}
}

func survivors(c *cluster.Cluster, dead *cluster.Node) []*cluster.Node {
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(n *cluster.Node) bool { return n == dead })
}

// firstWrite returns how long it takes from now until a write is acknowledged by any of nodes.
func firstWrite(t *testing.T, nodes []*cluster.Node) time.Duration {
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	done := make(chan time.Duration, len(nodes))
	for _, n := range nodes {
		wg.Go(func() {
			c := redis.NewClient(&redis.Options{
				Addr: n.Addr(), MaxRetries: -1, DialTimeout: 2 * time.Second, ReadTimeout: 10 * time.Second,
			})
			defer c.Close()
			for ctx.Err() == nil {
				if c.Set(ctx, "probe", n.Name, 0).Err() == nil {
					done <- time.Since(begin)
					cancel()
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	select {
	case took := <-done:
		return took
	default:
		t.Fatal("no write is acknowledged for 30 s")
		return 0
	}
}
