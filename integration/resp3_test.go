package integration

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestGoRedisV9 uses a client that speaks RESP3 by default, from end to end, and without falling back to RESP2.
func TestGoRedisV9(t *testing.T) {
	t.Parallel()
	const password = "secret"
	c := startCluster(t, "-proxyPassword", password)
	ctx := within(t, 60*time.Second)
	for name, n := range map[string]*cluster.Node{"leader": must(c.Leader(ctx))(t), "follower": must(c.Follower(ctx))(t)} {
		t.Run(name, func(t *testing.T) {
			db := redis.NewClient(&redis.Options{
				Addr: n.Addr(), DB: 4, Password: password, ClientName: "v9-" + name, MaxRetries: -1, ReadTimeout: 10 * time.Second,
			})
			defer db.Close()
			testGoRedisV9(t, db, "v9-"+name)
		})
	}
	if _, err := c.AwaitEqual(ctx); err != nil {
		t.Error(err)
	}
}

func testGoRedisV9(t *testing.T, db *redis.Client, name string) {
	ctx := within(t, 60*time.Second)
	check(t, db.FlushDB(ctx).Err())
	if got, err := db.Do(ctx, "CLIENT", "GETNAME").Text(); err != nil || got != name {
		t.Errorf("CLIENT GETNAME: %q, %v", got, err)
	}
	if info := must(db.ClientInfo(ctx).Result())(t); info.Resp != 3 || info.DB != 4 {
		t.Errorf("CLIENT INFO: resp=%d db=%d", info.Resp, info.DB)
	}

	hash := map[string]string{"a": "1", "b": "2"}
	check(t, db.HSet(ctx, "h", hash).Err())
	if got, err := db.HGetAll(ctx, "h").Result(); err != nil || !maps.Equal(got, hash) {
		t.Errorf("HGETALL: %v, %v", got, err)
	}
	check(t, db.SAdd(ctx, "s", "x", "y").Err())
	if got, err := db.SMembersMap(ctx, "s").Result(); err != nil || len(got) != 2 {
		t.Errorf("SMEMBERS: %v, %v", got, err)
	}
	check(t, db.ZAdd(ctx, "z", redis.Z{Score: 1.5, Member: "m"}, redis.Z{Score: 0.1, Member: "l"}).Err())
	if got, err := db.ZRangeWithScores(ctx, "z", 0, -1).Result(); err != nil || fmt.Sprint(got) != "[{0.1 l} {1.5 m}]" {
		t.Errorf("ZRANGE: %v, %v", got, err)
	}
	if got, err := db.ZIncrBy(ctx, "z", 1, "m").Result(); err != nil || got != 2.5 {
		t.Errorf("ZINCRBY: %v, %v", got, err)
	}
	if err := db.Get(ctx, "missing").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("GET of a missing key: %v", err)
	}
	check(t, db.XAdd(ctx, &redis.XAddArgs{Stream: "x", ID: "1-1", Values: []string{"f", "v"}}).Err())
	streams, err := db.XRead(ctx, &redis.XReadArgs{Streams: []string{"x", "0"}, Block: -1}).Result()
	if err != nil || len(streams) != 1 || fmt.Sprint(streams[0].Messages[0].Values) != "map[f:v]" {
		t.Errorf("XREAD: %v, %v", streams, err)
	}
	if info, err := db.InfoMap(ctx, "nexus").Result(); err != nil || info["Nexus"]["nexus_serving"] != "1" {
		t.Errorf("INFO: %v, %v", info, err)
	}
	if got, err := db.ConfigGet(ctx, "maxmemory").Result(); err != nil || got["maxmemory"] != "0" {
		t.Errorf("CONFIG GET: %v, %v", got, err)
	}
	check(t, db.Set(ctx, "ttl", "v", time.Hour).Err())
	if ttl, err := db.TTL(ctx, "ttl").Result(); err != nil || ttl < 59*time.Minute || ttl > time.Hour {
		t.Errorf("TTL: %v, %v", ttl, err)
	}

	var large []redis.Z
	for i := range 50_000 {
		large = append(large, redis.Z{Score: float64(i), Member: fmt.Sprintf("member:%020d", i)})
	}
	for part := range slices.Chunk(large, 5000) {
		check(t, db.ZAdd(ctx, "large", part...).Err())
	}
	if got, err := db.ZRangeWithScores(ctx, "large", 0, -1).Result(); err != nil || !slices.Equal(got, large) {
		t.Errorf("a large reply has %d elements, %v", len(got), err)
	}

	_, err = db.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range 200 {
			p.HIncrBy(ctx, "h", "n", 1)
			p.HGetAll(ctx, "h")
			p.ZScore(ctx, "z", "m")
		}
		return nil
	})
	check(t, err)
	var all *redis.MapStringStringCmd
	err = db.Watch(ctx, func(tx *redis.Tx) error {
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.HSet(ctx, "h", "a", "42")
			all = p.HGetAll(ctx, "h")
			p.TTL(ctx, "ttl")
			return nil
		})
		return err
	}, "h", "z")
	if err != nil || !maps.Equal(all.Val(), map[string]string{"a": "42", "b": "2", "n": "200"}) {
		t.Errorf("a transaction: %v, %v", all.Val(), err)
	}
	err = db.Watch(ctx, func(tx *redis.Tx) error {
		check(t, db.HSet(ctx, "h", "a", "other").Err())
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.HSet(ctx, "h", "a", "mine").Err() })
		return err
	}, "h")
	if !errors.Is(err, redis.TxFailedErr) {
		t.Errorf("a transaction whose key was touched: %v", err)
	}
}
