package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"
)

// TestScripts runs scripts and functions through all nodes. What the cluster knows of them must outlive a backend that
// comes back empty, one that is filled from a snapshot, a node that is killed, and a change of the leader.
func TestScripts(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"-nexus-snapshot-count", "50"}} {
		t.Run(fmt.Sprint(flags), func(t *testing.T) {
			t.Parallel()
			testScripts(t, flags)
		})
	}
}

func testScripts(t *testing.T, flags []string) {
	c := startCluster(t, flags...)
	ctx := within(t, 120*time.Second)
	incr := redis.NewScript(`redis.call('rpush', 'random', math.random(1e6)) redis.call('set', KEYS[1] .. ':ttl', 'v', 'PX', 60000)
return redis.call('incr', KEYS[1])`)
	first := client(t, c.Nodes[0], 0)
	check(t, incr.Eval(ctx, first, []string{"n"}).Err())
	check(t, client(t, c.Nodes[1], 0).Do(ctx, "FUNCTION", "LOAD",
		"#!lua name=l\nlocal n = 0\nredis.register_function('f', function(keys) n = n + 1 redis.call('incr', keys[1]) return n end)").Err())
	done := int64(1)
	everywhere := func(what string) {
		t.Helper()
		for i, n := range c.Nodes {
			cl := client(t, n, 0)
			done++
			eventually(t, 40*time.Second, func() error {
				got, err := incr.EvalSha(ctx, cl, []string{"n"}).Int64()
				if err == nil && got < done {
					err = fmt.Errorf("%s, node %d: the script answered %d, want %d", what, i, got, done)
				}
				done = max(done, got)
				return err
			})
			if got := must(cl.Do(ctx, "FCALL", "f", 1, "calls").Int64())(t); got != 1 {
				t.Errorf("%s, node %d: a function remembers %d calls", what, i, got)
			}
		}
	}
	everywhere("at first")
	for i := range 200 {
		check(t, first.Set(ctx, fmt.Sprint("fill:", i), i, 0).Err())
	}
	for _, lead := range []bool{false, true} {
		n := pick(t, c, lead)
		check(t, n.Backend.Kill())
		check(t, n.Backend.StartReady(ctx))
		check(t, c.AwaitReady(ctx))
		everywhere("after a backend came back empty")
		check(t, n.Kill())
		check(t, n.StartReady(ctx))
		check(t, c.AwaitReady(ctx))
		everywhere("after a node was killed")
	}
	// The connections of before may be to a node that was killed.
	first = client(t, c.Nodes[0], 0)
	countLibraries(ctx, t, first, 1)
	must(c.AwaitEqual(within(t, 40*time.Second)))(t)
	check(t, first.ScriptFlush(ctx).Err())
	for i, n := range c.Nodes {
		if err := incr.EvalSha(ctx, client(t, n, 0), []string{"n"}).Err(); err == nil || err.Error()[:8] != "NOSCRIPT" {
			t.Errorf("node %d after SCRIPT FLUSH: %v", i, err)
		}
	}
}

// countLibraries checks that the clients' libraries are listed, and not the one that runs scripts.
func countLibraries(ctx context.Context, t *testing.T, c *redis.Client, n int) {
	t.Helper()
	list := must(c.Do(ctx, "FUNCTION", "LIST").Slice())(t)
	if len(list) != n {
		t.Errorf("libraries %v", list)
	}
}
