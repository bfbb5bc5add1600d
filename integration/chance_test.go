package integration

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestChance has clients of all nodes pop members and read as consumers of one group, at once. Nothing is handed out
// twice, and the nodes hold the same afterwards, times of delivery included.
func TestChance(t *testing.T) {
	t.Parallel()
	const members, messages = 300, 200
	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	db := client(t, c.Nodes[0], 0)
	for i := range members {
		check(t, db.SAdd(ctx, "set", i).Err())
	}
	check(t, db.XGroupCreateMkStream(ctx, "stream", "group", "0").Err())
	for i := range messages {
		check(t, db.XAdd(ctx, &redis.XAddArgs{Stream: "stream", MaxLen: 1000, Approx: true, Values: []any{"i", i}}).Err())
	}
	var popped, read tally
	var wg sync.WaitGroup
	for i, n := range c.Nodes {
		own, name := client(t, n, 0), fmt.Sprint("consumer", i)
		wg.Add(2)
		go func() {
			defer wg.Done()
			for {
				m, err := own.SPop(ctx, "set").Result()
				if errors.Is(err, redis.Nil) || popped.failed(t, err) {
					return
				}
				popped.count(m)
			}
		}()
		go func() {
			defer wg.Done()
			for {
				streams, err := own.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "group", Consumer: name, Count: 3, Block: -1, Streams: []string{"stream", ">"}}).Result()
				if errors.Is(err, redis.Nil) || read.failed(t, err) {
					return
				}
				for _, m := range streams[0].Messages {
					read.count(m.ID)
				}
			}
		}()
	}
	wg.Wait()
	popped.verify(t, "member", members)
	read.verify(t, "message", messages)
	check(t, client(t, c.Nodes[1], 0).Do(ctx, "XAUTOCLAIM", "stream", "group", "late", "1", "-", "COUNT", "50").Err())
	if out, err := repl(t, c.Nodes[2], "verify"); err != nil || strings.Count(out, "equal") != 3 {
		t.Errorf("%v: %s", err, out)
	}
}

// tally counts how often things were handed out.
type tally struct {
	mu   sync.Mutex
	seen map[string]int
}

func (y *tally) count(what string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.seen == nil {
		y.seen = make(map[string]int)
	}
	y.seen[what]++
}

func (y *tally) failed(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
	}
	return err != nil
}

func (y *tally) verify(t *testing.T, kind string, want int) {
	t.Helper()
	if len(y.seen) != want {
		t.Errorf("%d of %d were handed out: %s", len(y.seen), want, kind)
	}
	for what, n := range y.seen {
		if n != 1 {
			t.Errorf("%s %s was handed out %d times", kind, what, n)
		}
	}
}

// TestSettingsAreTheClusters: a setting made through one node is there on the others, and on a backend that lost all.
func TestSettingsAreTheClusters(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	check(t, client(t, c.Nodes[1], 0).ConfigSet(ctx, "hash-max-ziplist-entries", "7").Err())
	get := func(n *cluster.Node) error {
		// A barrier, so that what was acknowledged is applied here.
		if err := client(t, n, 0).Get(ctx, "k").Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		got, err := client(t, n, 0).ConfigGet(ctx, "hash-max-listpack-entries").Result()
		if err == nil && (len(got) != 2 || got[1] != "7") {
			err = fmt.Errorf("%s: %v", n.Name, got)
		}
		return err
	}
	for _, n := range c.Nodes {
		check(t, get(n))
	}
	odd := c.Nodes[2]
	check(t, odd.Backend.Kill())
	check(t, odd.Backend.StartReady(ctx))
	eventually(t, 40*time.Second, func() error { return get(odd) })
}
