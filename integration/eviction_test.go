package integration

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// usedMemory returns what counts against maxmemory at a node.
func usedMemory(ctx context.Context, t *testing.T, n *cluster.Node) int64 {
	t.Helper()
	db := n.Client(0)
	defer db.Close()
	text := must(db.Info(ctx, "memory").Result())(t)
	number := func(name string) int64 {
		_, rest, _ := strings.Cut(text, "\n"+name+":")
		value, _, _ := strings.Cut(rest, "\r\n")
		return must(strconv.ParseInt(value, 10, 64))(t)
	}
	return number("used_memory") - number("mem_not_counted_for_evict")
}

// limitMemory sets a limit that leaves room for more bytes at each node. Up to 700 KB of that a backend may come to need for other
// things: a histogram of 60 KB for each kind of command that it has not executed before.
func limitMemory(ctx context.Context, t *testing.T, c *cluster.Cluster, policy string, more int64) (limit int64) {
	t.Helper()
	for _, n := range c.Nodes {
		limit = max(limit, usedMemory(ctx, t, n)+more)
	}
	db := c.Nodes[0].Client(0)
	defer db.Close()
	check(t, db.Do(ctx, "CONFIG", "SET", "maxmemory", limit, "maxmemory-policy", policy).Err())
	return limit
}

// cacheLoad writes keys with deadlines through all nodes, and now and then one of them a second time, without a deadline.
type cacheLoad struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	writes atomic.Int64

	mu     sync.Mutex
	kept   []string // keys without a deadline, acknowledged
	failed map[string]int
}

func startCacheLoad(t *testing.T, c *cluster.Cluster, keep bool) *cacheLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &cacheLoad{cancel: cancel, failed: make(map[string]int)}
	for i := range 6 {
		l.wg.Go(func() {
			db := redis.NewClient(&redis.Options{Addr: c.Nodes[i%len(c.Nodes)].Addr(), MaxRetries: -1, PoolSize: 1,
				DialTimeout: 2 * time.Second, ReadTimeout: 15 * time.Second})
			defer db.Close()
			for n := 0; ctx.Err() == nil; n++ {
				l.write(ctx, db, fmt.Sprintf("key:%d:%d", i, n), keep && n%50 == 0)
			}
		})
	}
	t.Cleanup(l.finish)
	return l
}

func (l *cacheLoad) write(ctx context.Context, db *redis.Client, key string, keep bool) {
	err := db.Set(ctx, key, strings.Repeat("x", 2000), time.Hour).Err()
	if err == nil && keep {
		err = db.Set(ctx, key, "kept", 0).Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil && ctx.Err() == nil:
		l.failed[err.Error()]++
		time.Sleep(20 * time.Millisecond)
	case err == nil && keep:
		l.kept = append(l.kept, key)
	}
	l.writes.Add(1)
}

func (l *cacheLoad) await(t *testing.T, more int64) {
	t.Helper()
	goal := l.writes.Load() + more
	eventually(t, 60*time.Second, func() error {
		if n := l.writes.Load(); n < goal {
			return fmt.Errorf("%d writes of %d", n, goal)
		}
		return nil
	})
}

func (l *cacheLoad) finish() {
	l.cancel()
	l.wg.Wait()
}

// TestEviction fills caches through all nodes under each policy. Nothing is refused, no backend uses much more than the limit,
// and all hold the same keys. The setting is there after everything was restarted.
func TestEviction(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 150*time.Second)
	for _, policy := range []string{"allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"} {
		check(t, client(t, c.Nodes[0], 0).FlushAll(ctx).Err())
		limit := limitMemory(ctx, t, c, policy, 1<<20)
		l := startCacheLoad(t, c, false)
		l.await(t, 1500)
		for _, n := range c.Nodes {
			if used := usedMemory(ctx, t, n); used > limit+200<<10 {
				t.Errorf("%s: %s uses %d bytes more than the limit", policy, n.Name, used-limit)
			}
		}
		l.finish()
		if len(l.failed) > 0 {
			t.Errorf("%s: refused: %v", policy, l.failed)
		}
		state := must(c.AwaitEqual(ctx))(t)
		if n := int64(len(state)); n < 20 || n > l.writes.Load()-100 {
			t.Errorf("%s: %d keys are left of %d", policy, n, l.writes.Load())
		}
	}
	if out, err := repl(t, c.Nodes[1], "verify"); err != nil || strings.Count(out, "equal") != 3 {
		t.Errorf("verify: %v: %s", err, out)
	}

	limit := limitMemory(ctx, t, c, "allkeys-lru", 1<<20)
	check(t, c.Stop(20*time.Second))
	check(t, c.StartReady(ctx))
	for _, n := range c.Nodes {
		got := must(client(t, n, 0).ConfigGet(ctx, "maxmemory*").Result())(t)
		if text := fmt.Sprint(got); !strings.Contains(text, fmt.Sprint("maxmemory ", limit)) || !strings.Contains(text, "maxmemory-policy allkeys-lru") {
			t.Errorf("%s after a restart: %s", n.Name, text)
		}
	}
	l := startCacheLoad(t, c, false)
	l.await(t, 1500)
	l.finish()
	if len(l.failed) > 0 {
		t.Errorf("after a restart: refused: %v", l.failed)
	}
	must(c.AwaitEqual(ctx))(t)
}

// TestEvictionWhileTheLeaderChanges: with a volatile policy no key is lost that has no deadline by the time at which its write was
// acknowledged, though it had one when it may have been chosen; whoever leads, and whoever dies.
func TestEvictionWhileTheLeaderChanges(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 120*time.Second)
	limitMemory(ctx, t, c, "volatile-random", 1<<20)
	l := startCacheLoad(t, c, true)
	l.await(t, 500)
	for _, n := range c.Nodes {
		transferLeader(t, c, n)
		l.await(t, 300)
	}
	leader := must(c.Leader(ctx))(t)
	check(t, leader.Kill())
	l.await(t, 300)
	check(t, leader.StartReady(ctx))
	l.await(t, 300)
	l.finish()
	for text := range l.failed {
		if strings.HasPrefix(text, "OOM") {
			t.Errorf("refused: %s", text)
		}
	}
	state := must(c.AwaitEqual(ctx))(t)
	db := client(t, c.Nodes[1], 0)
	for _, key := range l.kept {
		if value, err := db.Get(ctx, key).Result(); err != nil || value != "kept" {
			t.Errorf("%s: %q, %v", key, value, err)
		}
	}
	if len(l.kept) < 10 || len(state) > int(l.writes.Load())-100 {
		t.Errorf("%d keys without a deadline; %d keys are left of %d", len(l.kept), len(state), l.writes.Load())
	}
	if out, err := repl(t, c.Nodes[1], "verify"); err != nil || strings.Count(out, "equal") != 3 {
		t.Errorf("verify: %v: %s", err, out)
	}
}

// TestEvictionIsToldOfEverywhere: subscribers at all nodes hear of the same evictions in the same order, and of no deletions.
func TestEvictionIsToldOfEverywhere(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	db := client(t, c.Nodes[0], 0)
	check(t, db.Do(ctx, "CONFIG", "SET", "notify-keyspace-events", "Eeg").Err())
	var listeners []*listener
	for _, n := range c.Nodes {
		listeners = append(listeners, listen(t, n, "*"))
	}
	limitMemory(ctx, t, c, "allkeys-lru", 1<<20)
	for number := range 2 {
		for i, n := range c.Nodes {
			writer := client(t, n, number)
			for j := range 50 {
				check(t, writer.Set(ctx, fmt.Sprintf("key:%d:%d", i, j), strings.Repeat("x", 10000), 0).Err())
			}
		}
	}
	check(t, db.Do(ctx, "CONFIG", "SET", "maxmemory", "0").Err())
	check(t, db.Publish(ctx, "end", "").Err())
	first := listeners[0].await(t)
	for _, heard := range first {
		if !strings.HasPrefix(heard, "__keyevent@0__:evicted key:") && !strings.HasPrefix(heard, "__keyevent@1__:evicted key:") {
			t.Errorf("heard %q", heard)
		}
	}
	state := must(c.AwaitEqual(ctx))(t)
	if len(first)+len(state) != 300 || len(first) < 50 {
		t.Errorf("%d evictions were told of, %d keys are left of 300", len(first), len(state))
	}
	for i, l := range listeners {
		if got := l.await(t); strings.Join(got, "\n") != strings.Join(first, "\n") {
			t.Errorf("%s tells of %d evictions, others or in another order", c.Nodes[i].Name, len(got))
		}
	}
}
