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

// TestExpiry sets deadlines through each node. A key is there until its deadline and gone after it, at each node.
func TestExpiry(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	var wg sync.WaitGroup
	for i, writer := range c.Nodes {
		for kind, set := range map[string]func(*redis.Client, string) error{
			"set px": func(db *redis.Client, key string) error {
				return db.Do(ctx, "SET", key, "v", "PX", lifetime.Milliseconds()).Err()
			},
			"set ex": func(db *redis.Client, key string) error {
				return db.Do(ctx, "SET", key, "v", "EX", int(lifetime.Seconds())).Err()
			},
			"pexpire": func(db *redis.Client, key string) error {
				if err := db.Set(ctx, key, "v", 0).Err(); err != nil {
					return err
				}
				return db.PExpire(ctx, key, lifetime).Err()
			},
		} {
			wg.Go(func() { livesAsLongAs(ctx, t, c, writer, fmt.Sprintf("%s:%d", kind, i), set) })
		}
		db := client(t, writer, 1)
		key := fmt.Sprint("stays:", i)
		check(t, db.Set(ctx, key, "v", 1000*time.Second).Err())
		for _, reader := range c.Nodes {
			if ttl, err := client(t, reader, 1).TTL(ctx, key).Result(); err != nil || ttl < 990*time.Second || ttl > 1000*time.Second {
				t.Errorf("TTL of %s at %s: %v, %v, want 1000 s", key, reader.Name, ttl, err)
			}
		}
	}
	wg.Wait()

	// Gone from the backends too, without anybody asking for them.
	eventually(t, 40*time.Second, func() error {
		state, err := c.AwaitEqual(ctx)
		if err == nil && len(state) != len(c.Nodes) {
			err = fmt.Errorf("the backends hold %d keys, want the %d with a late deadline: %v", len(state), len(c.Nodes), state)
		}
		return err
	})
}

const lifetime = 2 * time.Second

// livesAsLongAs checks one key. The deadline lies between the moments at which the command was sent and answered, plus
// lifetime; a read that ends before the first must find the key, one that begins after the second must not.
func livesAsLongAs(ctx context.Context, t *testing.T, c *cluster.Cluster, writer *cluster.Node, key string, set func(*redis.Client, string) error) {
	var readers []*redis.Client
	for _, n := range c.Nodes {
		readers = append(readers, n.Client(0))
	}
	defer func() {
		for _, r := range readers {
			r.Close()
		}
	}()
	db := writer.Client(0)
	defer db.Close()
	sent := time.Now()
	if err := set(db, key); err != nil {
		t.Errorf("%s through %s: %v", key, writer.Name, err)
		return
	}
	answered := time.Now()
	// Deadlines are in whole milliseconds of the leader's clock.
	earliest, latest := sent.Add(lifetime-2*time.Millisecond), answered.Add(lifetime+2*time.Millisecond)
	var goneAt string
	for time.Now().Before(latest.Add(200 * time.Millisecond)) {
		for i, r := range readers {
			begin := time.Now()
			err := r.Get(ctx, key).Err()
			end := time.Now()
			gone := errors.Is(err, redis.Nil)
			switch {
			case err != nil && !gone:
				t.Errorf("%s at %s: %v", key, c.Nodes[i].Name, err)
			case gone && end.Before(earliest):
				t.Errorf("%s is gone at %s %v too early", key, c.Nodes[i].Name, earliest.Sub(end))
			case !gone && begin.After(latest):
				t.Errorf("%s is there at %s %v too late", key, c.Nodes[i].Name, begin.Sub(latest))
			case !gone && goneAt != "":
				t.Errorf("%s is there at %s after it was gone at %s", key, c.Nodes[i].Name, goneAt)
			case gone:
				goneAt = c.Nodes[i].Name
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}
