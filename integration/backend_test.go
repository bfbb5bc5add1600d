package integration

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestBackendRestarts takes the backends away in every way a backend goes, under load: the node must bring each back
// before it serves from it.
func TestBackendRestarts(t *testing.T) {
	t.Parallel()
	testBackendRestarts(t)
}

// The same where the log does not reach back to what a backend holds, so that it is filled from a snapshot.
func TestBackendRestartsSnapshots(t *testing.T) {
	t.Parallel()
	testBackendRestarts(t, "-nexus-snapshot-count", "50")
}

func testBackendRestarts(t *testing.T, flags ...string) {
	c := startCluster(t, flags...)
	// From before all that happens, so that a backend that lacks something can be told.
	ctx := within(t, 120*time.Second)
	for i := range 100 {
		check(t, client(t, c.Nodes[0], 5).Set(ctx, fmt.Sprint("old:", i), i, 0).Err())
	}
	l := startLoad(t, c.Nodes, 6)
	l.awaitProgress(t, 300)
	for _, lead := range []bool{false, true} {
		name := "follower"
		if lead {
			name = "leader"
		}
		t.Run("empty while the "+name+" runs", func(t *testing.T) { emptyWhileRunning(t, c, l, pick(t, c, lead)) })
		t.Run("empty while the "+name+" is down", func(t *testing.T) { emptyWhileDown(t, c, l, pick(t, c, lead)) })
		t.Run("older dump while the "+name+" runs", func(t *testing.T) { olderDump(t, c, l, pick(t, c, lead)) })
		t.Run("away while the "+name+" runs", func(t *testing.T) { away(t, c, l, pick(t, c, lead)) })
	}
	l.awaitProgress(t, 100)
	l.finish()
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
}

// TestBackendRestartsIdle loses the backends of a follower and of the leader while nobody writes: nothing but the loss
// itself tells the nodes to bring them back.
func TestBackendRestartsIdle(t *testing.T) {
	t.Parallel()
	for _, lead := range []bool{false, true} {
		t.Run(fmt.Sprint("leader ", lead), func(t *testing.T) {
			t.Parallel()
			c := startCluster(t)
			n := pick(t, c, lead)
			db := client(t, n, 0)
			check(t, db.Set(within(t, 40*time.Second), "k", "v", 0).Err())
			check(t, n.Backend.Kill())
			check(t, n.Backend.StartReady(within(t, 40*time.Second)))
			eventually(t, 40*time.Second, func() error { return readOr(t, db, "k", "v") })
			if _, err := c.AwaitEqual(within(t, 40*time.Second)); err != nil {
				t.Error(err)
			}
		})
	}
}

func pick(t *testing.T, c *cluster.Cluster, lead bool) *cluster.Node {
	t.Helper()
	ctx := within(t, 40*time.Second)
	if lead {
		return must(c.Leader(ctx))(t)
	}
	return must(c.Follower(ctx))(t)
}

func emptyWhileRunning(t *testing.T, c *cluster.Cluster, l *load, n *cluster.Node) {
	stop := watchOld(t, n)
	check(t, n.Backend.Kill())
	check(t, n.Backend.StartReady(within(t, 40*time.Second)))
	broughtBack(t, c, l, n)
	stop()
}

func emptyWhileDown(t *testing.T, c *cluster.Cluster, l *load, n *cluster.Node) {
	stop := watchOld(t, n)
	check(t, n.Kill())
	check(t, n.Backend.Kill())
	check(t, n.Backend.StartReady(within(t, 40*time.Second)))
	check(t, n.StartReady(within(t, 40*time.Second)))
	broughtBack(t, c, l, n)
	stop()
}

func olderDump(t *testing.T, c *cluster.Cluster, l *load, n *cluster.Node) {
	stop := watchOld(t, n)
	backend := n.Backend.Client(0)
	defer backend.Close()
	// A snapshot of the node may be under way.
	eventually(t, 40*time.Second, func() error { return backend.Save(within(t, 40*time.Second)).Err() })
	l.awaitProgress(t, 200)
	check(t, n.Backend.Kill())
	check(t, n.Backend.StartReady(within(t, 40*time.Second)))
	broughtBack(t, c, l, n)
	stop()
}

// away keeps the backend away until the node says that it does not serve.
func away(t *testing.T, c *cluster.Cluster, l *load, n *cluster.Node) {
	stop := watchOld(t, n)
	check(t, n.Backend.Kill())
	eventually(t, 40*time.Second, func() error {
		if n.Ready(within(t, time.Second)) == nil {
			return errors.New("a node without a backend says that it serves")
		}
		return nil
	})
	check(t, n.Backend.StartReady(within(t, 40*time.Second)))
	broughtBack(t, c, l, n)
	stop()
}

// broughtBack waits until n serves again and finds in its backend what was written long ago.
func broughtBack(t *testing.T, c *cluster.Cluster, l *load, n *cluster.Node) {
	t.Helper()
	check(t, n.AwaitReady(within(t, 40*time.Second)))
	ctx := within(t, 40*time.Second)
	probe := client(t, n, 5)
	eventually(t, 40*time.Second, func() error {
		got, err := probe.Get(ctx, "old:99").Result()
		if errors.Is(err, redis.Nil) || (err == nil && got != "99") {
			t.Fatalf("%s answers %q, %v for what was written before its backend was lost", n.Name, got, err)
		}
		return err
	})
	backend := n.Backend.Client(5)
	defer backend.Close()
	if size, err := backend.DBSize(ctx).Result(); err != nil || size != 100 {
		t.Errorf("%s serves, but its backend holds %d of 100 old keys, %v", n.Name, size, err)
	}
	l.awaitProgress(t, 50)
	check(t, c.AwaitReady(within(t, 40*time.Second)))
}

// watchOld reads an old key through n until stop: errors are right while the backend is not, another value never is.
func watchOld(t *testing.T, n *cluster.Node) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := client(t, n, 5)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			got, err := c.Get(ctx, "old:7").Result()
			if errors.Is(err, redis.Nil) || (err == nil && got != "7") {
				t.Errorf("%s answers %q, %v from a backend that is not filled yet", n.Name, got, err)
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// TestBackendSlow makes one backend after the other slow, under load: it answers nothing for a third of a second at a
// time, again and again. That is no failure: the node goes on serving, at the pace of its backend.
func TestBackendSlow(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	l := startLoad(t, c.Nodes, 6)
	l.awaitProgress(t, 200)
	for _, lead := range []bool{false, true} {
		t.Run(fmt.Sprint("leader ", lead), func(t *testing.T) {
			n := pick(t, c, lead)
			backend := n.Backend.Client(0)
			defer backend.Close()
			ctx := within(t, 40*time.Second)
			before := must(n.Status(ctx))(t)
			for range 10 {
				check(t, backend.Do(ctx, "CLIENT", "PAUSE", "300", "ALL").Err()) // itself paused by the one before
				if err := client(t, n, 0).Set(ctx, "while:slow", 1, 0).Err(); err != nil {
					t.Errorf("a write at the node of a slow backend: %v", err)
				}
			}
			if after := must(n.Status(ctx))(t); !after.GetServing() || after.GetTerm() != before.GetTerm() {
				t.Errorf("serving: %v (%s), term %d, was %d", after.GetServing(), after.GetProblem(), after.GetTerm(), before.GetTerm())
			}
		})
	}
	l.awaitProgress(t, 100)
	l.finish()
	l.verify(t, must(c.AwaitEqual(within(t, 40*time.Second)))(t))
}

// A node that is started again while its redis-server is down counts for the majority, where another node is gone.
func TestVotesWithoutItsBackend(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	leader := must(c.Leader(within(t, 40*time.Second)))(t)
	others := c.Others(leader)
	gone, late := others[0], others[1]
	for _, n := range others {
		check(t, n.Kill())
	}
	check(t, late.Backend.Kill())
	check(t, late.Start())
	db := client(t, leader, 0)
	eventually(t, 40*time.Second, func() error { return db.Set(within(t, 5*time.Second), "k", "v", 0).Err() })
	if late.Ready(within(t, 5*time.Second)) == nil {
		t.Error("a node without a backend says that it serves")
	}
	check(t, late.Backend.StartReady(within(t, 40*time.Second)))
	check(t, late.AwaitReady(within(t, 40*time.Second)))
	if got := must(client(t, late, 0).Get(within(t, 40*time.Second), "k").Result())(t); got != "v" {
		t.Errorf("read %q", got)
	}
	check(t, gone.StartReady(within(t, 40*time.Second)))
	if _, err := c.AwaitEqual(within(t, 40*time.Second)); err != nil {
		t.Error(err)
	}
}
