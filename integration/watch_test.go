package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// optimist counts up counters with WATCH and EXEC, and remembers what it was told. Each transaction also appends a
// unique name to the list beside the counter, so that no update can be lost or doubled unseen.
type optimist struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	won      map[string]bool // names of transactions that were executed, as their clients were told
	unknown  map[string]bool
	aborted  int
	needless int // aborted, though the counter was the same before WATCH and afterwards
	other    int // not done, and the like
	problems []error
}

const optimistCounters = 8

// startOptimists starts clients on all nodes, spread evenly, each with a connection of its own.
func startOptimists(t *testing.T, nodes []*cluster.Node, clients int) *optimist {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	o := &optimist{cancel: cancel, won: make(map[string]bool), unknown: make(map[string]bool)}
	for i := range clients {
		o.wg.Go(func() {
			db := redis.NewClient(&redis.Options{Addr: nodes[i%len(nodes)].Addr(), MaxRetries: -1, PoolSize: 1,
				DialTimeout: 2 * time.Second, ReadTimeout: 15 * time.Second})
			defer db.Close()
			for n := 0; ctx.Err() == nil; n++ {
				if o.count(ctx, db, fmt.Sprintf("counter:%d", (i/len(nodes)+n)%optimistCounters), fmt.Sprintf("%d-%d", i, n)) {
					continue
				}
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond): // the node is down
				}
			}
		})
	}
	t.Cleanup(o.finish)
	return o
}

func (o *optimist) finish() {
	o.cancel()
	o.wg.Wait()
}

// count tries once, and reports whether the node answered.
func (o *optimist) count(ctx context.Context, db *redis.Client, key, name string) bool {
	before, errBefore := db.Get(ctx, key).Int()
	asked := false
	err := db.Watch(ctx, func(tx *redis.Tx) error {
		was, err := tx.Get(ctx, key).Int()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		asked = true
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, key, was+1, 0)
			p.RPush(ctx, key+":names", name)
			return nil
		})
		return err
	}, key)
	aborted := errors.Is(err, redis.TxFailedErr)
	needless := false
	if aborted && errBefore == nil {
		after, err := db.Get(ctx, key).Int()
		needless = err == nil && after == before
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		o.won[name] = true
	case aborted:
		o.aborted++
		if needless {
			o.needless++
		}
	case asked && outcomeOf(err) == unknown:
		o.unknown[name] = true
	default:
		o.other++
		var refused redis.Error
		if errors.As(err, &refused) && !strings.HasPrefix(err.Error(), "TRYAGAIN ") && !strings.HasPrefix(err.Error(), "UNKNOWNOUTCOME ") {
			o.problems = append(o.problems, fmt.Errorf("%s: %w", name, err))
		}
	}
	return err == nil || aborted
}

func (o *optimist) awaitWins(t *testing.T, more int) {
	t.Helper()
	wins := func() int {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.won)
	}
	begin := wins()
	eventually(t, 60*time.Second, func() error {
		if n := wins() - begin; n < more {
			return fmt.Errorf("%d transactions were executed, want %d more", n, more)
		}
		return nil
	})
}

// verify compares what the clients were told with the counters and their names.
func (o *optimist) verify(t *testing.T, db *redis.Client) {
	t.Helper()
	ctx := within(t, 40*time.Second)
	seen := make(map[string]bool)
	for i := range optimistCounters {
		key := fmt.Sprint("counter:", i)
		value, err := db.Get(ctx, key).Int()
		check(t, err)
		names := must(db.LRange(ctx, key+":names", 0, -1).Result())(t)
		if value != len(names) {
			t.Errorf("%s is %d after %d transactions: updates were lost", key, value, len(names))
		}
		for _, name := range names {
			if seen[name] {
				t.Errorf("%s was executed twice", name)
			}
			seen[name] = true
			if !o.won[name] && !o.unknown[name] {
				t.Errorf("%s was executed, and its client was told that it was not", name)
			}
		}
	}
	for name := range o.won {
		if !seen[name] {
			t.Errorf("%s was acknowledged and is not there", name)
		}
	}
	for _, err := range o.problems {
		t.Error(err)
	}
	t.Logf("%d executed, %d aborted, %d of them without need, %d of unknown outcome, %d refused or not connected",
		len(o.won), o.aborted, o.needless, len(o.unknown), o.other)
}

// TestOptimisticCounters has hundreds of clients at all nodes count by WATCH and EXEC while leaders die.
func TestOptimisticCounters(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	o := startOptimists(t, c.Nodes, 240)
	for range 2 {
		o.awaitWins(t, 200)
		leader := must(c.Leader(within(t, 40*time.Second)))(t)
		check(t, leader.Kill())
		o.awaitWins(t, 200)
		check(t, leader.StartReady(within(t, 40*time.Second)))
	}
	o.awaitWins(t, 200)
	o.finish()
	if _, err := c.AwaitEqual(within(t, 40*time.Second)); err != nil {
		t.Error(err)
	}
	o.verify(t, client(t, c.Nodes[0], 0))
}

// TestOptimisticCountersUndisturbed looks for transactions that are aborted without need. A client that reads between
// WATCH and EXEC should see none: what its node had applied at WATCH is behind it by then.
func TestOptimisticCountersUndisturbed(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	for _, clients := range []int{3, 24} {
		o := startOptimists(t, c.Nodes, clients)
		o.awaitWins(t, 200)
		o.finish()
		t.Logf("%d clients: %d executed, %d aborted, %d of them without need", clients, len(o.won), o.aborted, o.needless)
		if o.needless > 0 {
			t.Errorf("%d transactions were aborted without need", o.needless)
		}
		if len(o.unknown)+o.other > clients {
			t.Errorf("%d unknown, %d other", len(o.unknown), o.other)
		}
	}
}

// TestWatchAcrossNodes touches a watched key through another node, in every way there is.
func TestWatchAcrossNodes(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	leader, follower := must(c.Leader(ctx))(t), must(c.Follower(ctx))(t)
	for _, pair := range [][2]*cluster.Node{{leader, follower}, {follower, leader}} {
		watcher, toucher := client(t, pair[0], 0), client(t, pair[1], 0)
		elsewhere := client(t, pair[1], 1)
		for name, touch := range map[string]func() error{
			"":         func() error { return toucher.Set(ctx, "other", 1, 0).Err() },
			"set":      func() error { return toucher.Set(ctx, "k", 1, 0).Err() },
			"expires":  func() error { return nil },
			"rename":   func() error { return toucher.Rename(ctx, "k", "k2").Err() },
			"renamed":  func() error { return toucher.Rename(ctx, "other", "k").Err() },
			"move":     func() error { return toucher.Move(ctx, "k", 1).Err() },
			"copied":   func() error { return elsewhere.Do(ctx, "copy", "k1", "k", "db", "0", "replace").Err() },
			"flushall": func() error { return elsewhere.FlushAll(ctx).Err() },
			"flushdb":  func() error { return toucher.FlushDB(ctx).Err() },
			"swapdb":   func() error { return elsewhere.Do(ctx, "swapdb", "0", "1").Err() },
			"script": func() error {
				_, err := repl(t, pair[1], "redis", "save", `return redis.call("set", "k", "script")`)
				return err
			},
		} {
			check(t, toucher.FlushAll(ctx).Err())
			ttl := time.Duration(0)
			if name == "expires" {
				ttl = 300 * time.Millisecond
			}
			check(t, toucher.Set(ctx, "k", 0, ttl).Err())
			check(t, toucher.Set(ctx, "other", 0, 0).Err())
			check(t, elsewhere.Set(ctx, "k1", 0, 0).Err())
			err := watcher.Watch(ctx, func(tx *redis.Tx) error {
				check(t, touch())
				for end := time.Now().Add(ttl); time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
				_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, "mine", 1, 0); return nil })
				return err
			}, "k")
			if want := name != ""; errors.Is(err, redis.TxFailedErr) != want || (err != nil && !want) {
				t.Errorf("%s watches, %s does %q: %v", pair[0].Name, pair[1].Name, name, err)
			}
		}
	}
	if _, err := c.AwaitEqual(ctx); err != nil {
		t.Error(err)
	}
}
