package redis

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestEventsAreTheServers compares the notifications of commands, most of which the log carries in another form.
func TestEventsAreTheServers(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(eventCommands), "\n")
	hear := func(addr string, background func(stop <-chan struct{})) []string {
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() { defer close(done); background(stop) }()
		defer func() { close(stop); <-done }()
		c, sub := dial(t, addr), dial(t, addr)
		want(t, c.cmd("CONFIG SET notify-keyspace-events KEA"), replyOK)
		sub.cmd("PSUBSCRIBE __key*")
		heard := make([]string, len(lines))
		for i, line := range lines {
			command, event, waits := strings.Cut(line, " => ")
			if reply := c.cmd(command); reply[0] == '-' {
				t.Fatalf("%s: %q", command, reply)
			}
			if !waits {
				c.cmd("LPUSH end-of-command x")
				event = "end-of-command"
			}
			for {
				message := sub.reply()
				_, text, _ := strings.Cut(message, "\r\n$6\r\n__key*\r\n")
				if !waits && strings.Contains(text, event) {
					sub.reply()
					break
				}
				heard[i] += text
				if waits && strings.Contains(text, "__keyevent") && strings.Contains(text, ":"+event) {
					break
				}
			}
		}
		return heard
	}
	native := hear(startRedis(t), func(<-chan struct{}) {})
	p := startProxy(t)
	ours := hear(p.addr, func(stop <-chan struct{}) {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { <-stop; cancel() }()
		expirer := NewExpirer(p.server.cfg, p.log, p.store)
		if err := expirer.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	for i, line := range lines {
		if ours[i] != native[i] {
			t.Errorf("%s\n  node  %q\n  redis %q", line, ours[i], native[i])
		}
	}
}

// After " => " stands an event that comes by itself later.
const eventCommands = `
SET s v
SET s v EX 100
SET s v PX 100000 XX GET
SET s v KEEPTTL
SET s v EXAT 99999999999
SETEX s 100 v
PSETEX s 100000 v
SETNX s v
SETNX s2 v
GETSET s v
GETDEL s2
APPEND s x
SETRANGE s 0 y
SETBIT bits 7 1
BITFIELD bits INCRBY u8 0 1
BITOP NOT bits2 bits
MSET m1 a m2 b
MSETNX m3 a m4 b
INCR n
DECRBY n 3
INCRBYFLOAT n 1.5
EXPIRE s 100
PEXPIRE s 100000
EXPIREAT s 99999999999
PEXPIREAT s 99999999999999
EXPIRE s 100 GT
EXPIRE s 50 LT
PERSIST s
GETEX s EX 100
GETEX s PERSIST
GETEX s PXAT 99999999999999
GETEX s
EXPIRE s -1
SET s v
EXPIREAT s 1
SET s v
PEXPIRE s 0
SET s v
GETEX s PXAT 1
SET r v
RENAME r r2
RENAMENX r2 r3
COPY r3 r4
COPY r3 r5 DB 2
MOVE r4 3
DEL r3
UNLINK m1 m2 nothere
TOUCH m3
LPUSH l a b c
RPUSHX l d
LINSERT l BEFORE a z
LSET l 0 q
LREM l 1 q
LTRIM l 0 1
LPOP l
LMOVE l l2 LEFT RIGHT
RPUSH l a b c
RPOPLPUSH l l2
LMPOP 1 l LEFT COUNT 2
SADD st a b c
SREM st a
SMOVE st st2 b
SADD sp a b c d e f
SPOP sp
SPOP sp 2
SPOP sp 0
SPOP sp 9
SPOP sp
SADD sp a
SPOP sp
SINTERSTORE st3 st st2
SUNIONSTORE st3 st st2
SDIFFSTORE st3 nothere st
HSET h f v g w
HSETNX h x y
HINCRBY h n 1
HINCRBYFLOAT h n 1.5
HDEL h f g x n
ZADD z 1 a 2 b 3 c
ZADD z INCR 1 a
ZINCRBY z 1 a
ZREM z a
ZPOPMIN z
ZMPOP 1 z MAX
ZADD z 1 a 2 b 3 c
ZREMRANGEBYSCORE z 1 1
ZRANGESTORE z2 z 0 -1
ZUNIONSTORE z3 2 z z2
GEOADD g 13 38 p
GEOSEARCHSTORE g2 g FROMMEMBER p BYRADIUS 1 km
PFADD hll a b
PFMERGE hll2 hll
PFCOUNT hll
XADD x 1-1 f v
XADD x MAXLEN = 1 2-1 f v
XTRIM x MAXLEN 0
XGROUP CREATE x grp 0
XSETID x 3-1
XDEL x 1-1
SORT l STORE l3
SELECT 4
SET four v
FLUSHDB
SELECT 0
SET e v PX 20 => expired
HSET e f v
PEXPIRE e 20 => expired
SWAPDB 0 5
FLUSHALL
`
