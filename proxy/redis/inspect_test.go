package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// CONFIG SET in a transaction is done at its place.
func TestSettingsInTransaction(t *testing.T) {
	p := startProxy(t)
	ours, plain := dial(t, p.addr), dial(t, startRedis(t))
	for _, line := range []string{
		"MULTI", "CONFIG GET zset-max-listpack-entries", "ZADD z 1 a", "CONFIG SET zset-max-listpack-entries 0", "ZADD y 1 a",
		"CONFIG SET zset-max-listpack-entries x", "CONFIG SET hz 20 zset-max-listpack-entries 128",
		"OBJECT ENCODING z", "OBJECT ENCODING y", "CONFIG GET zset-max-listpack-entries", "CONFIG GET hz", "EXEC", "CONFIG GET hz",
	} {
		want(t, ours.cmd(line), plain.cmd(line))
	}
}

// What shows an effect stands behind it in a transaction.
func TestEffectsInTransactionAreShown(t *testing.T) {
	p := startProxy(t)
	addrs := []string{p.addr, startRedis(t)}
	var got [2][]string
	for i, addr := range addrs {
		c, other := dial(t, addr), dial(t, addr)
		other.cmd("CLIENT SETNAME other")
		id := strings.TrimSuffix(other.cmd("CLIENT ID")[1:], "\r\n")
		for _, line := range []string{"CONFIG SET slowlog-log-slower-than 0", "SET a b", "GET a", "CONFIG SET slowlog-log-slower-than -1"} {
			c.cmd(line)
		}
		for _, line := range []string{"MULTI", "SET k v", "SLOWLOG RESET", "SLOWLOG LEN", "CLIENT KILL ID " + id, "CLIENT LIST ID " + id, "CONFIG RESETSTAT",
			"INFO errorstats", "EXEC"} {
			if line == "EXEC" {
				dial(t, addr).cmd("HGET a b") // an error to be counted, before
			}
			got[i] = append(got[i], c.cmd(line))
		}
	}
	if fmt.Sprintf("%q", got[0]) != fmt.Sprintf("%q", got[1]) {
		t.Errorf("got  %q\nwant %q", got[0], got[1])
	}
}

// Every setting that CONFIG GET tells may be set to the value that it has, where Redis lets anybody set it.
func TestSettingsAsTheyAre(t *testing.T) {
	p := startProxy(t)
	ours, plain := dial(t, p.addr), dial(t, startRedis(t))
	all := func(c *client) map[string]string {
		pairs, ok := replyBulks([]byte(c.cmd("CONFIG GET *")))
		if !ok || len(pairs)%2 != 0 {
			t.Fatal("CONFIG GET is no list")
		}
		values := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			values[string(pairs[i])] = string(pairs[i+1])
		}
		return values
	}
	values := all(plain)
	for name, value := range all(ours) {
		got, wants := ours.do("CONFIG", "SET", name, value), plain.do("CONFIG", "SET", name, values[name])
		if got != wants {
			t.Errorf("CONFIG SET %s %q: %q, want %q", name, value, got, wants)
		}
	}
	// Nothing else is told by it.
	for _, line := range []string{"CONFIG SET maxclients 9999", "CONFIG SET dir ./", "CONFIG SET maxclients 10000 port 1"} {
		if got := ours.cmd(line); !strings.HasPrefix(got, "-ERR CONFIG SET failed") {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// Times of delivery are stored shifted, and clients see the real ones.
func TestClientsSeeRealDeliveries(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	before := time.Now().UnixMilli()
	c.cmd("XGROUP CREATE st g 0 MKSTREAM")
	c.cmd("XADD st 1-1 a b")
	c.cmd("XADD st 2-1 a b")
	c.cmd("XREADGROUP GROUP g c STREAMS st >")
	c.cmd("XCLAIM st g c 0 2-1 IDLE 500000")
	check := func(reply string) {
		t.Helper()
		var idles []int64
		for line := range strings.SplitSeq(reply, "\r\n") {
			if n, ok := parseInt([]byte(strings.TrimPrefix(line, ":"))); ok && line[0] == ':' {
				idles = append(idles, n)
			}
		}
		took := time.Now().UnixMilli() - before
		if len(idles) != 4 || idles[0] < 0 || idles[0] > took || idles[2] < 500_000 || idles[2] > 500_000+took {
			t.Errorf("%q after %d ms", reply, took)
		}
	}
	check(c.cmd("XPENDING st g - + 10"))
	c.cmd("MULTI")
	c.cmd("XPENDING st g - + 10")
	check(strings.TrimPrefix(c.cmd("EXEC"), "*1\r\n"))
	if got := c.cmd("XPENDING st g IDLE 400000 - + 10"); !strings.HasPrefix(got, "*1\r\n*4\r\n$3\r\n2-1") {
		t.Errorf("idle for long: %q", got)
	}
	want(t, c.cmd("XPENDING st g IDLE 900000 - + 10"), "*0\r\n")
	full := c.cmd("XINFO STREAM st FULL")
	after := time.Now().UnixMilli()
	found := 0
	for at := before; at <= after; at++ {
		found += strings.Count(full, fmt.Sprintf(":%d\r\n:1\r\n", at))
	}
	if found != 2 { // in the group, and in its consumer
		t.Errorf("%q has no delivery between %d and %d", full, before, after)
	}
}

func TestSlowLog(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("CLIENT SETNAME snail")
	want(t, c.cmd("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 2"), replyOK)
	c.cmd("SET k v")
	got := c.cmd("SLOWLOG GET 1")
	if !strings.Contains(got, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n") || !strings.Contains(got, "$5\r\nsnail\r\n") {
		t.Errorf("got %q", got)
	}
	want(t, c.cmd("SLOWLOG LEN"), ":2\r\n")
	// What is too old is dropped some at a time, and never shown.
	for i := range 3 * slowSpare {
		c.cmd(fmt.Sprintf("SET k %d", i))
	}
	got = c.cmd("SLOWLOG GET -1")
	if !strings.HasPrefix(got, "*2\r\n") || !strings.Contains(got, "$2\r\n47\r\n") || !strings.Contains(got, "$2\r\n46\r\n") {
		t.Errorf("got %q", got)
	}
	want(t, c.cmd("SLOWLOG LEN"), ":2\r\n")
	want(t, c.cmd("CONFIG SET slowlog-max-len 1"), replyOK)
	want(t, c.cmd("SLOWLOG LEN"), ":1\r\n")
	want(t, c.cmd("CONFIG SET slowlog-max-len 2"), replyOK)
	want(t, c.cmd("CONFIG GET slowlog-max-len"), "*2\r\n$15\r\nslowlog-max-len\r\n$1\r\n2\r\n")
	c.cmd("CONFIG SET slowlog-log-slower-than -1")
	c.cmd("SLOWLOG RESET")
	want(t, c.cmd("SLOWLOG GET"), "*0\r\n")

	l := newSlowLog()
	if l.slow(9*time.Millisecond) || !l.slow(10*time.Millisecond) {
		t.Error("what takes 10 ms is slow, unless it is set otherwise")
	}
	args := [][]byte{[]byte("AUTH"), []byte("secret")}
	if kept := slowArgs(args); string(kept[1]) != "(redacted)" {
		t.Errorf("kept %q", kept)
	}
	args = [][]byte{[]byte("SET"), []byte(strings.Repeat("x", 200))}
	for range 60 {
		args = append(args, []byte("y"))
	}
	kept := slowArgs(args)
	if len(kept) != slowMaxArgs || string(kept[31]) != "... (31 more arguments)" || string(kept[1][128:]) != "... (72 more bytes)" {
		t.Errorf("kept %d: %q", len(kept), kept)
	}
}

func TestSettings(t *testing.T) {
	p := startProxy(t)
	c, direct := dial(t, p.addr), dial(t, p.redis)
	before := p.log.proposals.Load()
	want(t, c.cmd("CONFIG SET hz 50"), replyOK)
	if p.log.proposals.Load() != before {
		t.Error("what concerns one backend went through the log")
	}
	for _, line := range []string{
		"CONFIG SET maxclients 17", "CONFIG SET dir /tmp", "CONFIG SET requirepass x",
		"CONFIG SET proto-max-bulk-len 1mb", "CONFIG SET hz 60 maxmemory-clients 1", "CONFIG SET stream-node-max-entries 7 nosuch 1",
	} {
		if got := c.cmd(line); got[0] != '-' {
			t.Errorf("%s: %q", line, got)
		}
	}
	want(t, direct.cmd("CONFIG GET hz"), "*2\r\n$2\r\nhz\r\n$2\r\n50\r\n")
	// All or nothing, also across what is one node's and what is the cluster's.
	p.log.proposeFails = func([][]byte) error { return raft.ErrNotDone }
	if got := c.cmd("CONFIG SET hz 60 slowlog-max-len 7 stream-node-max-entries 7"); !strings.HasPrefix(got, "-"+wordNotDone) {
		t.Errorf("got %q", got)
	}
	p.log.proposeFails = nil
	want(t, direct.cmd("CONFIG GET hz"), "*2\r\n$2\r\nhz\r\n$2\r\n50\r\n")
	want(t, c.cmd("CONFIG GET slowlog-max-len"), "*2\r\n$15\r\nslowlog-max-len\r\n$3\r\n128\r\n")
	want(t, c.cmd("CONFIG SET stream-node-max-entries 5"), replyOK)
	want(t, direct.cmd("CONFIG GET stream-node-max-entries"), "*2\r\n$23\r\nstream-node-max-entries\r\n$1\r\n5\r\n")
	c.cmd("FLUSHALL")
	want(t, direct.cmd("SELECT 13"), replyOK)
	want(t, direct.cmd("HGET raft.settings stream-node-max-entries"), "$1\r\n5\r\n")
}

// What the proxy lets into the log is what backends take from there.
func TestSettingsOfTheClusterAreKnownToBackends(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	for line, value := range map[string]string{
		"list-max-listpack-size": "-3", "list-compress-depth": "1", "hll-sparse-max-bytes": "2kb", "stream-node-max-bytes": "1k",
		"stream-node-max-entries": "50", "set-max-intset-entries": "100", "hash-max-listpack-entries": "9", "hash-max-listpack-value": "1kb",
		"zset-max-listpack-entries": "0", "zset-max-listpack-value": "9223372036854775807", "notify-keyspace-events": "KEA",
		"sanitize-dump-payload": "yes", "maxmemory-policy": "allkeys-LRU",
	} {
		want(t, c.do("CONFIG", "SET", line, value), replyOK)
	}
}

func TestNexusCommands(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.Password = "secret" })
	c := dial(t, p.addr)
	for _, line := range []string{"NEXUS STATUS", "NEXUS EXPLAIN GET k", "NEXUS MEMBERS", "NEXUS VERIFY", "NEXUS HELP"} {
		want(t, c.cmd(line), "-"+errTextNoAuth+"\r\n")
	}
	c.cmd("AUTH secret")
	for line, parts := range map[string][]string{
		"NEXUS STATUS":                      {"cluster\r\n$4\r\ntest", "role\r\n$6\r\nleader", "serving\r\n$4\r\ntrue"},
		"NEXUS MEMBERS":                     {"*1\r\n*6", "0000000000000007", "http://127.0.0.1:9021", "leader"},
		"NEXUS VERIFY":                      {"*3\r\n", "equal\r\n$5\r\nfalse", "db0: at least 2 keys"},
		"NEXUS EXPLAIN GET k":               {"policy\r\n$4\r\nread", "keys\r\n$1\r\nk\r\n"},
		"NEXUS EXPLAIN set k v ex 10":       {"policy\r\n$9\r\nwritetime", "in the log", "set k v PXAT 28"},
		"NEXUS EXPLAIN spop s":              {"policy\r\n$6\r\nchoice", "EVAL <take.lua> 1 s -1 member"},
		"NEXUS EXPLAIN xadd s * a b":        {"EVAL <xadd.lua> 1 s "},
		"NEXUS EXPLAIN ttl k":               {"to the backend", "PEXPIRETIME k"},
		"NEXUS EXPLAIN shutdown":            {"policy\r\n$7\r\nrefused", "refused by Nexus: "},
		"NEXUS EXPLAIN nosuch a":            {"unknown command"},
		"NEXUS EXPLAIN set k v ex -1":       {"invalid expire time"},
		"NEXUS EXPLAIN sort k by w_* get #": {"more keys\r\n$8\r\npossible"},
		"NEXUS HELP":                        {"+EXPLAIN"},
		"NEXUS FOO":                         {"-ERR unknown subcommand 'FOO'. Try NEXUS HELP."},
	} {
		got := c.cmd(line)
		for _, part := range parts {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %q lacks %q", line, got, part)
			}
		}
	}
	want(t, c.cmd("EXISTS k s"), ":0\r\n")
}

func TestMemoryStatsHideTheReservedDatabase(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("SET k v")
	got := c.cmd("MEMORY STATS")
	if !strings.Contains(got, "db.0\r\n") || strings.Contains(got, "db.13\r\n") {
		t.Errorf("got %q", got)
	}
}
