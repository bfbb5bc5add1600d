package integration

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestBusyBackends has every backend execute one entry for longer than anything else may take. Everybody waits, as with a
// plain server, gets an answer, and the leader keeps its office.
func TestBusyBackends(t *testing.T) {
	for name, run := range map[string]func(context.Context, redis.Cmdable) error{
		"script": func(ctx context.Context, c redis.Cmdable) error {
			return c.Eval(ctx, "for i = 1, 1600000 do redis.call('sadd', KEYS[1], i % 1000) end return 1", []string{"s"}).Err()
		},
		"command": func(ctx context.Context, c redis.Cmdable) error {
			keys := make([]string, 60)
			for i := range keys {
				keys[i] = "z"
			}
			return c.ZUnionStore(ctx, "d", &redis.ZStore{Keys: keys}).Err()
		},
	} {
		t.Run(name, func(t *testing.T) { testBusyBackends(t, run) })
	}
}

func testBusyBackends(t *testing.T, run func(context.Context, redis.Cmdable) error) {
	c := startCluster(t)
	ctx := within(t, 3*time.Minute)
	leader := must(c.Leader(ctx))(t)
	first := patientClient(t, leader)
	check(t, first.Eval(ctx, "for i = 1, 300000 do redis.call('zadd', KEYS[1], i, i) end return 1", []string{"z"}).Err())
	must(c.AwaitEqual(ctx))(t)
	term := must(leader.Status(ctx))(t).GetTerm()

	done := make(chan struct{})
	var others sync.WaitGroup
	for i, n := range c.Nodes {
		cl := patientClient(t, n)
		for j := range 2 {
			others.Go(func() {
				// Few, so that a leader whose backend is done last is not so far behind by then that it hands over.
				for k := 0; ; k++ {
					select {
					case <-done:
						return
					case <-time.After(100 * time.Millisecond):
					}
					key := fmt.Sprint("k", i, j)
					if got, err := cl.Incr(ctx, key).Result(); err != nil || got != int64(k+1) {
						t.Errorf("INCR at node %d: %d, %v", i, got, err)
						return
					}
					if err := cl.Get(ctx, key).Err(); err != nil {
						t.Errorf("GET at node %d: %v", i, err)
						return
					}
				}
			})
		}
	}
	begun := time.Now()
	err := run(ctx, patientClient(t, leader))
	took := time.Since(begun)
	close(done)
	others.Wait()
	check(t, err)
	t.Logf("it took %v", took)
	if got := must(leader.Status(ctx))(t); got.GetTerm() != term || got.GetRole() != "leader" {
		t.Errorf("%s is %s in term %d, it was the leader in term %d", leader.Name, got.GetRole(), got.GetTerm(), term)
	}
	must(c.AwaitEqual(ctx))(t)
}

// patientClient is a client that waits for its answer.
func patientClient(t *testing.T, n *cluster.Node) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: n.Addr(), MaxRetries: -1, ReadTimeout: 2 * time.Minute})
	t.Cleanup(func() { c.Close() })
	return c
}
