package redis

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/raft"
)

func evictOp(keys ...string) raft.Command {
	return raft.Command{Data: AppendOp(nil, EvictItem(0, keys)), Wanted: true}
}

// What an eviction deletes is decided by the settings that stand before it in the log, also by those of the same entry and
// of the same run, and by the deadlines that keys have then.
func TestEvict(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	at := fmt.Sprint(base + ShiftMillis)
	for i, step := range []struct {
		name  string
		set   []string
		reply string
		left  string
	}{
		{name: "no limit", set: []string{"maxmemory", "0", "maxmemory-policy", "allkeys-lru"}, reply: "", left: ":4\r\n"},
		{name: "no policy", set: []string{"maxmemory", "1", "maxmemory-policy", "noeviction"}, reply: "", left: ":4\r\n"},
		{name: "only with a deadline", set: []string{"maxmemory-policy", "volatile-ttl"}, reply: ":2\r\n", left: ":2\r\n"},
		{name: "any", set: []string{"maxmemory-policy", "allkeys-random"}, reply: ":3\r\n", left: ":1\r\n"},
	} {
		before := b.Evicted()
		second := entry(uint64(2*i+2), op("SET", "first", "v", "PXAT", at), op("SET", "second", "v", "PXAT", at),
			evictOp("plain", "first", "second", "nosuch"))
		mustApply(t, b, entry(uint64(2*i+1), opIn(1, "SET", "first", "elsewhere"), op("FLUSHDB"), op("MSET", "plain", "v", "stays", "v"),
			op(append([]string{"CONFIG", "SET"}, step.set...)...)),
			second)
		if got := string(second.Commands[2].Reply); got != step.reply {
			t.Errorf("%s: the reply is %q, want %q", step.name, got, step.reply)
		}
		if got := s.do(0, "DBSIZE"); got != step.left {
			t.Errorf("%s: DBSIZE is %q, want %q", step.name, got, step.left)
		}
		if got := s.do(1, "GET", "first"); got != "$9\r\nelsewhere\r\n" {
			t.Errorf("%s: the key of another database is %q", step.name, got)
		}
		n, _, _ := cutInteger([]byte(step.reply))
		if got := b.Evicted() - before; got != uint64(n) {
			t.Errorf("%s: %d keys were counted, want %d", step.name, got, n)
		}
		if _, found := b.Deadline(0, []byte("first")); found != (step.reply == "") {
			t.Errorf("%s: the index has the deadline of an evicted key: %v", step.name, found)
		}
		if got := len(b.Sample(5)); (got == 5) != (step.reply == "") {
			t.Errorf("%s: a sample has %d keys", step.name, got)
		}
	}
}

// The settings are those of the data: of a node that was restarted, and of one that was filled.
func TestEvictionPolicySurvives(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	if got := b.EvictionPolicy(); got != "noeviction" {
		t.Errorf("at first it is %q", got)
	}
	mustApply(t, b, entry(1, op("CONFIG", "SET", "maxmemory", "1000", "maxmemory-policy", "allkeys-lfu"), op("SET", "k", "v")))
	snap := takeSnapshot(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	s.restart()
	filled := newBackend(t, testConfig(s.addr))
	if err := filled.Restore(t.Context(), testID, snapshotOf(snap, 1)); err != nil {
		t.Fatal(err)
	}
	if err := filled.Close(); err != nil {
		t.Fatal(err)
	}
	again := openBackend(t, testConfig(s.addr))
	if limit, policy := again.MemoryLimit(), again.EvictionPolicy(); limit != 1000 || policy != "allkeys-lfu" {
		t.Errorf("it is %d, %q", limit, policy)
	}
	if got := s.do(0, "CONFIG", "GET", "maxmemory"); !strings.Contains(got, "$1\r\n0\r\n") {
		t.Errorf("the backend has a limit: %q", got)
	}
	if got := s.do(0, "OBJECT", "FREQ", "k"); !strings.HasPrefix(got, ":") {
		t.Errorf("the backend does not count uses: %q", got)
	}
}
