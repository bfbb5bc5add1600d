package redis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// infoOf returns a number in INFO.
func infoOf(c *client, name string) int64 {
	c.tb.Helper()
	text := c.cmd("INFO everything")
	_, rest, _ := strings.Cut(text, "\r\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		c.tb.Fatalf("INFO: %s is %q", name, value)
	}
	return n
}

// startCache returns a node on which keys were evicted already, and no data: its backend has the connections by then. What it notes
// of the latency of each command would take 60 kB at its first call.
func startCache(t *testing.T, policy string) (*proxy, *client) {
	t.Helper()
	p := startProxy(t)
	c := dial(t, p.addr)
	for _, line := range []string{"CONFIG SET latency-tracking no", "SET k v", "SETEX used 1000 v", "SETBIT bits 1 0", "GETBIT bits 0", "EXISTS k", "KEYS k", "DEL k bits", "SELECT 3",
		"SET k v", "DEL k", "SELECT 0", "GET k", "CONFIG SET maxmemory 1 maxmemory-policy " + policy} {
		if reply := c.cmd(line); reply[0] == '-' {
			t.Fatalf("%s: %q", line, reply)
		}
	}
	for c.cmd("EXISTS used") != ":0\r\n" {
		time.Sleep(time.Millisecond)
	}
	want(t, c.cmd("CONFIG SET maxmemory 0"), replyOK)
	c.cmd("CONFIG RESETSTAT")
	return p, c
}

// limitTo sets a limit that leaves room for so many bytes more.
func limitTo(c *client, policy string, more int64) (limit int64) {
	c.tb.Helper()
	limit = infoOf(c, "used_memory") - infoOf(c, "mem_not_counted_for_evict") + more
	want(c.tb, c.do("CONFIG", "SET", "maxmemory", fmt.Sprint(limit), "maxmemory-policy", policy), replyOK)
	return limit
}

var policies = []string{"allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"}

// TestEvictionKeepsTheLimit writes several times as much as there is room for, under each policy, and in two databases.
func TestEvictionKeepsTheLimit(t *testing.T) {
	for _, policy := range policies {
		t.Run(policy, func(t *testing.T) {
			_, c := startCache(t, policy)
			limit := limitTo(c, policy, 200<<10)
			value := strings.Repeat("x", 1000)
			for i := range 1000 {
				if i == 500 {
					want(t, c.cmd("SELECT 3"), replyOK)
				}
				if reply := c.do("SETEX", fmt.Sprint("key:", i), "10000", value); reply != replyOK {
					t.Fatalf("write %d: %q", i, reply)
				}
				if i%100 == 0 {
					if used := infoOf(c, "used_memory") - infoOf(c, "mem_not_counted_for_evict"); used > limit+32<<10 {
						t.Errorf("after %d writes %d bytes more than the limit are used", i, used-limit)
					}
				}
			}
			want(t, c.cmd("CONFIG SET maxmemory 0"), replyOK)
			evicted := infoOf(c, "evicted_keys")
			left := strings.Count(c.cmd("KEYS *"), "key:")
			c.cmd("SELECT 0")
			left += strings.Count(c.cmd("KEYS *"), "key:")
			if int(evicted)+left != 1000 || left < 50 {
				t.Errorf("%d keys were evicted, and %d are left, of 1000", evicted, left)
			}
			c.cmd("CONFIG RESETSTAT")
			if n := infoOf(c, "evicted_keys"); n > 100 {
				t.Errorf("after CONFIG RESETSTAT %d keys were evicted", n)
			}
		})
	}
}

// TestEvictionSparesKeysWithoutDeadline: a volatile policy evicts nothing else, and refuses what needs memory with the words of
// Redis when there is nothing else.
func TestEvictionSparesKeysWithoutDeadline(t *testing.T) {
	for _, policy := range policies {
		if !strings.HasPrefix(policy, "volatile") {
			continue
		}
		t.Run(policy, func(t *testing.T) {
			_, c := startCache(t, policy)
			value := strings.Repeat("x", 1000)
			for i := range 50 {
				c.do("SETEX", fmt.Sprint("volatile:", i), "10000", value)
			}
			limitTo(c, policy, 100<<10)
			stay := 0
			for ; ; stay++ {
				reply := c.do("SET", fmt.Sprint("stays:", stay), value)
				if reply == "-"+errTextFull+"\r\n" {
					break
				}
				if reply != replyOK || stay > 1000 {
					t.Fatalf("write %d: %q", stay, reply)
				}
			}
			if n := strings.Count(c.cmd("KEYS volatile:*"), "volatile:"); n != 0 {
				t.Errorf("refused with %d keys that may be evicted", n)
			}
			if n := strings.Count(c.cmd("KEYS stays:*"), "stays:"); n != stay {
				t.Errorf("%d keys without a deadline are left of %d", n, stay)
			}
			want(t, c.cmd("GET nosuch"), "$-1\r\n")
			want(t, c.cmd("DEL stays:0"), ":1\r\n")
			want(t, c.cmd("CONFIG SET maxmemory 0"), replyOK)
			want(t, c.cmd("SET more v"), replyOK)
		})
	}
}

// TestEvictionTakesTheWorst: of keys of equal size, those go that the policy says.
func TestEvictionTakesTheWorst(t *testing.T) {
	for _, test := range []struct{ policy, option, good, bad string }{
		{"allkeys-lru", "IDLETIME", "10", "100000"},
		{"allkeys-lfu", "FREQ", "200", "1"},
	} {
		t.Run(test.policy, func(t *testing.T) {
			_, c := startCache(t, test.policy)
			want(t, c.cmd("CONFIG SET maxmemory-samples 20"), replyOK)
			dump := dumpOf(t, c)
			for i := range 300 {
				want(t, c.do("RESTORE", fmt.Sprint("good:", i), "0", dump, test.option, test.good), replyOK)
				want(t, c.do("RESTORE", fmt.Sprint("bad:", i), "0", dump, test.option, test.bad), replyOK)
			}
			limitTo(c, test.policy, -50<<10)
			for evicted := int64(0); evicted == 0; evicted = infoOf(c, "evicted_keys") {
				c.cmd("SET another v")
			}
			good, bad := strings.Count(c.cmd("KEYS good:*"), "good:"), strings.Count(c.cmd("KEYS bad:*"), "bad:")
			if bad > 280 || 300-good > (300-bad)/3 {
				t.Errorf("%d good and %d bad keys of 300 are left", good, bad)
			}
		})
	}
	t.Run("volatile-ttl", func(t *testing.T) {
		_, c := startCache(t, "volatile-ttl")
		for i := range 300 {
			c.do("SET", fmt.Sprint("key:", i), strings.Repeat("x", 500), "EX", fmt.Sprint(100_000-i))
		}
		limitTo(c, "volatile-ttl", -50<<10)
		for evicted := int64(0); evicted == 0; evicted = infoOf(c, "evicted_keys") {
			c.cmd("SET another v")
		}
		left := 0
		for i := range 300 {
			there := c.cmd(fmt.Sprint("EXISTS key:", i)) == ":1\r\n"
			if there && left != i {
				t.Fatalf("key %d is gone, and key %d, whose deadline is earlier, is there", left, i)
			}
			if there {
				left++
			}
		}
		if left > 280 || left < 100 {
			t.Errorf("%d keys of 300 are left", left)
		}
	})
}

// dumpOf returns what DUMP says of a string of 500 bytes.
func dumpOf(t *testing.T, c *client) string {
	c.do("SET", "dumped", strings.Repeat("abcde", 100))
	defer c.cmd("DEL dumped")
	text, ok := replyBulk([]byte(c.cmd("DUMP dumped")))
	if !ok {
		t.Fatal("DUMP has no answer")
	}
	return string(text)
}

// TestEvictionIsToldOf compares the notifications, which say that keys were evicted and not that they were deleted. They come
// without a write.
func TestEvictionIsToldOf(t *testing.T) {
	hear := func(addr string) (heard []string) {
		c, sub := dial(t, addr), dial(t, addr)
		want(t, c.cmd("CONFIG SET notify-keyspace-events KEA maxmemory-policy allkeys-lru"), replyOK)
		c.cmd("SELECT 2")
		c.cmd("SET one v")
		sub.cmd("PSUBSCRIBE __key*")
		want(t, c.cmd("CONFIG SET maxmemory 1"), replyOK)
		heard = append(heard, sub.reply(), sub.reply())
		want(t, c.cmd("SET two v"), "-"+errTextFull+"\r\n")
		want(t, c.cmd("CONFIG SET maxmemory 0"), replyOK)
		c.cmd("SET two v")
		return append(heard, sub.reply())
	}
	native, ours := hear(startRedis(t)), hear(startProxy(t).addr)
	if !slices.Equal(ours, native) {
		t.Errorf("\n  node  %q\n  redis %q", ours, native)
	}
}

// TestEvictionTouchesWatchedKeys: an evicted key makes EXEC fail.
func TestEvictionTouchesWatchedKeys(t *testing.T) {
	_, c := startCache(t, "volatile-lru")
	c.cmd("SETEX watched 10000 v")
	c.cmd("WATCH watched")
	limitTo(c, "volatile-lru", -1)
	for infoOf(c, "evicted_keys") == 0 {
		c.cmd("SETBIT big 800000 0")
	}
	c.cmd("CONFIG SET maxmemory 0")
	c.cmd("MULTI")
	c.cmd("SET k v")
	want(t, c.cmd("EXEC"), "*-1\r\n")
	want(t, c.cmd("GET k"), "$-1\r\n")
}

// TestEvictionInvalidates is the case of Redis's own suite: the next command, a read, finds the node above its limit, and the
// client hears what was evicted before it has the reply.
func TestEvictionInvalidates(t *testing.T) {
	_, c := startCache(t, "volatile-random")
	limitTo(c, "volatile-random", 100<<10)
	c.cmd("HELLO 3")
	want(t, c.cmd("CLIENT TRACKING on"), replyOK)
	want(t, c.cmd("SETEX volatile-key 10000 x"), replyOK)
	want(t, c.cmd("GET volatile-key"), "$1\r\nx\r\n")
	want(t, c.cmd("SETBIT big-key 1600000 0"), ":0\r\n")
	want(t, c.cmd("GETBIT big-key 0"), ">2\r\n$10\r\ninvalidate\r\n*1\r\n$12\r\nvolatile-key\r\n")
	want(t, c.reply(), ":0\r\n")
}

// TestEvictionWhileProposalsFail: nobody waits for ever for room that cannot be made.
func TestEvictionWhileProposalsFail(t *testing.T) {
	p, c := startCache(t, "allkeys-random")
	for i := range 100 {
		c.do("SET", fmt.Sprint("key:", i), strings.Repeat("x", 1000))
	}
	p.log.mu.Lock()
	p.log.proposeFails = func(cmds [][]byte) error {
		if len(cmds) == 1 && strings.Contains(string(cmds[0]), "DEL") {
			return raft.ErrNotDone
		}
		return nil
	}
	p.log.mu.Unlock()
	limitTo(c, "allkeys-random", -10<<10)
	for range 10 {
		want(t, c.cmd("SET k v"), replyOK)
	}
	if n := infoOf(c, "evicted_keys"); n != 0 {
		t.Errorf("%d keys were evicted", n)
	}
	p.log.mu.Lock()
	p.log.proposeFails = nil
	p.log.mu.Unlock()
	for infoOf(c, "evicted_keys") == 0 {
		c.cmd("SET k v")
	}
}

// TestRoomIsExpectedOfScriptsToo: scripts and transactions are refused as by Redis when nothing can be evicted.
func TestRoomIsExpectedOfScriptsToo(t *testing.T) {
	ours, plain := dial(t, startProxy(t).addr), dial(t, startRedis(t))
	for _, args := range [][]string{
		{"CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "allkeys-lru"},
		{"SET", "k", "v"}, {"GET", "k"}, {"EVAL", "\nreturn redis.call('set', KEYS[1], 'w')", "1", "k"},
		{"EVAL", "return redis.call('get', KEYS[1])", "1", "k"}, {"MULTI"}, {"SET", "k", "v"}, {"EXEC"},
		{"CONFIG", "SET", "maxmemory", "0"}, {"SET", "k", "v"}, {"MULTI"}, {"SET", "k", "w"},
	} {
		if got, native := ours.do(args...), plain.do(args...); got != native {
			t.Errorf("%q\nNexus %q\nRedis %q", args, got, native)
		}
	}
}

func TestHumanBytes(t *testing.T) {
	c := dial(t, startRedis(t))
	for _, n := range []int64{0, 1, 1023, 1024, 1500, 1 << 20, 3 << 30, 5 << 40, 7 << 50} {
		c.do("CONFIG", "SET", "maxmemory", fmt.Sprint(n))
		if text := c.cmd("INFO memory"); !strings.Contains(text, "\r\nmaxmemory_human:"+humanBytes(n)+"\r\n") {
			t.Errorf("%d is not %s", n, humanBytes(n))
		}
	}
}

// However long their names are, a round does not look at more keys than fit into an entry of the log.
func TestEvictionOfKeysWithLongNames(t *testing.T) {
	name := func(i, size int) victim { return victim{db: i % 3, key: strconv.Itoa(i) + strings.Repeat("k", size)} }
	var many []victim
	for i := range 30 {
		many = append(many, name(i, 1<<20), name(i, 1<<20))
	}
	if got := distinct(slices.Clone(many), 13); len(got) != 15 {
		t.Errorf("%d keys of 1 MiB, want 15", len(got))
	}
	if got := distinct([]victim{name(1, 20<<20), name(2, 20<<20), name(3, 20<<20)}, 13); len(got) != 1 {
		t.Errorf("%d keys of 20 MiB, want 1", len(got))
	}
	if got := distinct([]victim{name(2, 1), name(1, 20<<20), name(2, 2), name(4, 2)}, 1); len(got) != 2 {
		t.Errorf("%d keys, want the 2 that are short and not in the reserved database", len(got))
	}
}
