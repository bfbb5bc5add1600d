package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	goredis "github.com/go-redis/redis/v8"
)

func TestGoRedis(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.Password = "secret" })
	ctx := context.Background()
	db := goredis.NewClient(&goredis.Options{Addr: p.addr, Password: "secret", DB: 2, PoolSize: 8})
	defer db.Close()
	if err := db.Set(ctx, "k", "v", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if ttl, err := db.TTL(ctx, "k").Result(); err != nil || ttl < time.Second || ttl > time.Minute {
		t.Errorf("TTL: %v, %v", ttl, err)
	}
	if _, err := db.Get(ctx, "nokey").Result(); !errors.Is(err, goredis.Nil) {
		t.Errorf("GET: %v", err)
	}
	cmds, err := db.TxPipelined(ctx, func(tx goredis.Pipeliner) error {
		tx.Incr(ctx, "n")
		tx.HSet(ctx, "h", "a", 1, "b", 2)
		tx.HGetAll(ctx, "h")
		tx.Expire(ctx, "h", time.Hour)
		tx.PTTL(ctx, "h")
		return nil
	})
	if err != nil || len(cmds) != 5 {
		t.Fatalf("%v, %v", cmds, err)
	}
	if m := cmds[2].(*goredis.StringStringMapCmd).Val(); len(m) != 2 || m["b"] != "2" {
		t.Errorf("HGETALL: %v", m)
	}
	if ttl := cmds[4].(*goredis.DurationCmd).Val(); ttl != time.Hour {
		t.Errorf("PTTL: %v", ttl)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 100 {
				pipe := db.Pipeline()
				incr := pipe.Incr(ctx, "counter")
				get := pipe.Get(ctx, "counter")
				if _, err := pipe.Exec(ctx); err != nil {
					t.Errorf("pipeline %d: %v", i, err)
					return
				}
				if v, _ := get.Int64(); v < incr.Val() {
					t.Errorf("read %d after writing %d", v, incr.Val())
				}
			}
		}()
	}
	wg.Wait()
	if v := db.Get(ctx, "counter").Val(); v != "800" {
		t.Errorf("counter is %s", v)
	}
	if list := db.ClientList(ctx).Val(); list == "" {
		t.Error("no clients")
	}
	iter, n := db.Scan(ctx, 0, "*", 100).Iterator(), 0
	for iter.Next(ctx) {
		n++
	}
	if n != 4 {
		t.Errorf("SCAN found %d keys", n)
	}
}

func TestConcurrentSessions(t *testing.T) {
	p := startProxy(t)
	var wg sync.WaitGroup
	for i := range 8 {
		c := dial(t, p.addr)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range 50 {
				key := fmt.Sprint("k", i)
				c.do("SET", key, fmt.Sprint(j), "PX", "5")
				c.do("GET", key)
				c.do("CLIENT", "LIST")
				c.do("INFO", "nexus")
				c.do("MULTI")
				c.do("CLIENT", "SETNAME", key)
				c.do("SELECT", fmt.Sprint(j%4))
				c.do("TTL", key)
				c.do("EXEC")
				p.server.Stats()
			}
		}()
	}
	wg.Wait()
}

func TestConfigValidate(t *testing.T) {
	for _, bad := range []func(*Config){
		func(c *Config) { c.Databases = 1 },
		func(c *Config) { c.ReservedDB = 16 },
		func(c *Config) { c.Timeout = 0 },
		func(c *Config) { c.MaxPipelineCommands = 0 },
		func(c *Config) { c.MaxTransactionBytes = 0 },
		func(c *Config) { c.Limits.MaxConns = 0 },
		func(c *Config) { c.Logger = nil },
	} {
		cfg := NewConfig()
		bad(&cfg)
		if cfg.Validate() == nil {
			t.Errorf("%+v is valid", cfg)
		}
	}
	cfg := NewConfig()
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}
