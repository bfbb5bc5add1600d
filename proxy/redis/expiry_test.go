package redis

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

func TestExpiredKeyIsGone(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	want(t, c.cmd("SET k v"), replyOK)
	want(t, c.cmd("GET k"), "$1\r\nv\r\n")
	want(t, c.cmd("PEXPIRE k 1"), ":1\r\n")
	before := p.log.proposals.Load()
	waitDue(p)
	for _, tc := range [][2]string{
		{"GET k", "$-1\r\n"},
		{"TTL k", ":-2\r\n"},
		{"EXISTS k", ":0\r\n"},
		{"DBSIZE", ":0\r\n"},
	} {
		want(t, c.cmd(tc[0]), tc[1])
	}
	if n := p.log.proposals.Load() - before; n != 1 {
		t.Errorf("%d proposals for one expired key, want 1", n)
	}
	// Each kind of read meets a key of its own.
	for _, line := range []string{"GET k", "MGET a k", "DBSIZE", "KEYS *", "SCAN 0", "TTL k", "EXISTS k", "RANDOMKEY"} {
		c.cmd("SET k v")
		before := c.cmd(line)
		c.cmd("PEXPIRE k 1")
		waitDue(p)
		if got := c.cmd(line); got == before {
			t.Errorf("%s: %q after the deadline", line, got)
		}
	}
}

func TestWriteMeetsDueKey(t *testing.T) {
	c := dial(t, startProxy(t).addr)
	for _, tc := range [][2]string{
		{"INCR k", ":1\r\n"},
		{"SETNX k 5", ":1\r\n"},
		{"APPEND k x", ":1\r\n"},
		{"RENAME k k2", "-ERR no such key\r\n"},
		{"EXPIRE k 100", ":0\r\n"},
		{"PERSIST k", ":0\r\n"},
		{"DEL k", ":0\r\n"},
		{"GETSET k x", "$-1\r\n"},
		{"LPUSH k x", ":1\r\n"},
	} {
		c.cmd("SET k 41 PX 20")
		time.Sleep(25 * time.Millisecond)
		if got := c.cmd(tc[0]); got != tc[1] {
			t.Errorf("%s: got %q, want %q", tc[0], got, tc[1])
		}
		c.cmd("DEL k")
	}
}

func TestDeadlinesFollowTheirKeys(t *testing.T) {
	c := dial(t, startProxy(t).addr)
	for _, line := range []string{"RENAME k k2", "COPY k k2", "MOVE k 1", "SWAPDB 0 1"} {
		c.cmd("FLUSHALL")
		c.cmd("SET k v PX 40")
		c.cmd(line)
		time.Sleep(45 * time.Millisecond)
		for _, db := range []int{0, 1} {
			c.cmd(fmt.Sprintf("SELECT %d", db))
			want(t, c.cmd("EXISTS k k2"), ":0\r\n")
		}
		c.cmd("SELECT 0")
	}
	// All in one entry: the index has nothing from an apply yet.
	c.send([]byte("SET k v PX 40\r\nRENAME k k2\r\nCOPY k2 k3\r\n"))
	want(t, c.reply()+c.reply()+c.reply(), "+OK\r\n+OK\r\n:1\r\n")
	time.Sleep(45 * time.Millisecond)
	want(t, c.cmd("EXISTS k k2 k3"), ":0\r\n")
}

func TestTTLReplies(t *testing.T) {
	c := dial(t, startProxy(t).addr)
	at := time.Now().Unix() + 20_000
	c.cmd("SET k v EX 20000")
	want(t, about20000(c.cmd("TTL k")), ":20000\r\n")
	if n, ok := replyInt([]byte(c.cmd("EXPIRETIME k"))); !ok || n < at || n > at+1000 {
		t.Errorf("EXPIRETIME: %d, want about %d", n, at)
	}
	// In a pipeline with others, and in a transaction.
	c.send([]byte("GET k\r\nTTL k\r\nGET nokey\r\nTTL nokey\r\nGET k\r\n"))
	want(t, about20000(c.reply()+c.reply()+c.reply()+c.reply()+c.reply()), "$1\r\nv\r\n:20000\r\n$-1\r\n:-2\r\n$1\r\nv\r\n")
	c.send([]byte("MULTI\r\nGET k\r\nTTL k\r\nPING\r\nEXPIRE k -1\r\nTTL k\r\nEXEC\r\n"))
	for range 6 {
		c.reply()
	}
	want(t, about20000(c.reply()), "*5\r\n$1\r\nv\r\n:20000\r\n+PONG\r\n:1\r\n:-2\r\n")
}

// about20000 rounds a number a little below that.
func about20000(replies string) string {
	return regexp.MustCompile(`:19\d{3}\r\n`).ReplaceAllString(replies, ":20000\r\n")
}

// A leader whose clock is behind does not delete; readers must not wait for it.
func TestReadGoesOnWhenTheLeadersClockIsBehind(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	p.log.skew.Store(-10_000)
	c.cmd("SET k v PXAT " + fmt.Sprint(time.Now().UnixMilli()+20))
	time.Sleep(25 * time.Millisecond)
	before := p.log.proposals.Load()
	want(t, c.cmd("GET k"), "$1\r\nv\r\n")
	if n := p.log.proposals.Load() - before; n != maxExpiryRounds {
		t.Errorf("%d proposals, want %d", n, maxExpiryRounds)
	}
	want(t, c.cmd("PTTL k"), ":0\r\n")
}

func TestReadsOfLivingKeysProposeNothing(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("SET due v PX 20")
	c.cmd("SET living v EX 100")
	time.Sleep(25 * time.Millisecond)
	before := p.log.proposals.Load()
	want(t, c.cmd("GET living"), "$1\r\nv\r\n")
	want(t, c.cmd("GET other"), "$-1\r\n")
	if n := p.log.proposals.Load() - before; n != 0 {
		t.Errorf("%d proposals for reads that touch no due key", n)
	}
}

func TestManyDueKeys(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	request := []byte{}
	at := fmt.Sprint(time.Now().UnixMilli() + 300)
	const n = 2*maxExpire + 500
	for i := range n {
		request = appendRequest(request, "SET", fmt.Sprint("k", i), "v", "PXAT", at)
	}
	c.send(request)
	for range n {
		c.reply()
	}
	time.Sleep(350 * time.Millisecond)
	want(t, c.cmd("SET other v"), replyOK)
	want(t, dial(t, p.redis).cmd("DBSIZE"), ":1\r\n")
}

func TestExpirer(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- NewExpirer(p.server.cfg, p.log, p.store).Run(ctx) }()
	direct := dial(t, p.redis)
	gone := func() bool { return direct.cmd("EXISTS k") == ":0\r\n" }
	c.cmd("SET k v PX 30")
	eventually(t, "the leader did not delete a due key", gone)
	p.log.follower.Store(true)
	c.cmd("SET k v PX 30")
	time.Sleep(250 * time.Millisecond)
	want(t, direct.cmd("EXISTS k"), ":1\r\n")
	p.log.follower.Store(false)
	eventually(t, "the new leader did not delete a due key", gone)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
}

func TestExpirerEndsWithTheNode(t *testing.T) {
	p := startProxy(t)
	dial(t, p.addr).cmd("SET k v PX 1")
	p.log.mu.Lock()
	p.log.proposeFails = func([][]byte) error { return fmt.Errorf("%w: %w", raft.ErrNotDone, raft.ErrStopped) }
	p.log.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	if err := NewExpirer(p.server.cfg, p.log, p.store).Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// INFO counts the keys whose time has come, and not those that were gone by then.
func TestExpiredKeysAreCounted(t *testing.T) {
	c := dial(t, startProxy(t).addr)
	for _, notifications := range []string{"", "KEA"} {
		want(t, c.do("CONFIG", "SET", "notify-keyspace-events", notifications), replyOK)
		want(t, c.cmd("CONFIG RESETSTAT"), replyOK)
		if n := infoOf(c, "expired_keys"); n != 0 {
			t.Errorf("expired_keys is %d behind CONFIG RESETSTAT", n)
		}
		c.cmd("SET gone v PX 1500")
		c.cmd("DEL gone")
		c.cmd("SET a v PX 100")
		c.cmd("SET last v PX 2000")
		for deadline := time.Now().Add(40 * time.Second); c.cmd("EXISTS last") == ":1\r\n"; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a key does not expire")
			}
		}
		if n := infoOf(c, "expired_keys"); n != 2 {
			t.Errorf("expired_keys is %d, want 2", n)
		}
	}
}
