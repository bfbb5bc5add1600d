package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// redisKeys is how many keys of each kind there are, so that the data does not grow.
const redisKeys = 5000

// workRedis is a client that behaves: writes, reads, keys that expire, transactions, scripts, a new connection now and then.
func workRedis(ctx context.Context, n *cluster.Node, number int, pause time.Duration, c *count) {
	db := n.Client(number % 4)
	defer func() { db.Close() }()
	for i := 0; rest(ctx, pause) == nil; i++ {
		key := fmt.Sprint(rand.IntN(redisKeys))
		var err error
		switch i % 10 {
		case 0, 1, 2:
			err = db.Set(ctx, "value:"+key, strings.Repeat("x", rand.IntN(200)), 0).Err()
		case 3, 4:
			err = db.Get(ctx, "value:"+key).Err()
		case 5:
			err = db.Set(ctx, "short:"+key, i, time.Duration(100+rand.IntN(3000))*time.Millisecond).Err()
		case 6:
			err = db.Incr(ctx, "counter:"+key).Err()
		case 7:
			_, err = db.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.LPush(ctx, "list:"+key, i)
				p.LTrim(ctx, "list:"+key, 0, 9)
				return nil
			})
		case 8: // a text of its own each time: the cache of scripts has to forget
			err = db.Eval(ctx, fmt.Sprintf("return redis.call('set', KEYS[1], %d)", rand.IntN(1<<30)), []string{"script:" + key}).Err()
		case 9:
			err = db.Publish(ctx, "news", key).Err()
		}
		if errors.Is(err, redis.Nil) {
			err = nil
		}
		if ctx.Err() == nil {
			c.note(err)
		}
		if i%100 == 99 {
			db.Close()
			db = n.Client(number % 4)
		}
	}
}

// redisBreaks are what clients are doing when they vanish.
var redisBreaks = []string{
	"MONITOR\r\n",
	"SUBSCRIBE news other\r\n",
	"PSUBSCRIBE n*\r\n",
	"SSUBSCRIBE shard\r\n",
	"HELLO 3\r\nCLIENT TRACKING ON\r\nGET value:1\r\nGET value:2\r\n",
	"HELLO 3\r\nCLIENT TRACKING ON BCAST\r\n",
	"BLPOP nothing 0\r\n",
	"BRPOPLPUSH nothing nowhere 0\r\n",
	"XREAD BLOCK 0 STREAMS nothing $\r\n",
	"WATCH value:1 value:2\r\nMULTI\r\nSET value:1 x\r\n",
	"WATCH value:3\r\n",
	"MULTI\r\nINCR counter:1\r\n",
	"EVAL \"return redis.call('get', KEYS[1])\" 1 value:1\r\n",
	"SELECT 3\r\nCLIENT SETNAME somebody\r\nSET value:1 y\r\n",
	"*3\r\n$3\r\nSET\r\n$7\r\nvalue:1\r\n$1000\r\nhalf of it",
	"WAIT 2 1000\r\n",
	strings.Repeat("GET value:1\r\n", 500),
}

// vanishFromRedis is one client after the other that goes away in the middle of something.
func vanishFromRedis(ctx context.Context, n *cluster.Node, number int, c *count) {
	for i := number; ctx.Err() == nil; i++ {
		err := vanish(n.Addr(), redisBreaks[i%len(redisBreaks)])
		if err != nil {
			c.note(err)
		} else {
			c.vanished.Add(1)
		}
		if rest(ctx, 5*time.Millisecond) != nil {
			return
		}
	}
}

func vanish(addr, saying string) error {
	conn, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(conn, saying); err != nil {
		return errors.Join(err, conn.Close())
	}
	time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	if tcp, ok := conn.(*net.TCPConn); ok && rand.IntN(2) == 0 {
		if err := tcp.SetLinger(0); err != nil { // a reset, not an end
			return errors.Join(err, conn.Close())
		}
	}
	return conn.Close()
}
