package redis

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/raft"
)

type digestKey struct {
	part string
	key  uint64
}

func digestOf(t *testing.T, b *Backend) map[digestKey]uint64 {
	t.Helper()
	dump := takeSnapshot(t, b)
	found := make(map[digestKey]uint64)
	snap := &raft.Snapshot{Data: bytes.NewReader(dump), Size: int64(len(dump))}
	err := b.Digest(context.Background(), snap, func(part string, key, value uint64) {
		if _, ok := found[digestKey{part, key}]; ok {
			t.Errorf("%s %x twice", part, key)
		}
		found[digestKey{part, key}] = value
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// everyType is commands that make a key of each type in each encoding.
func everyType() [][]string {
	long := strings.Repeat("x", 100)
	all := [][]string{
		{"SET", "int", "12345"}, {"SET", "raw", strings.Repeat("abc", 1000)}, {"SET", "bin", "\x00\xff\r\n"},
		{"SET", "limited", "v", "PXAT", fmt.Sprint(ShiftMillis + 5e12)},
		{"PFADD", "hll", "a", "b", "c"}, {"SETBIT", "bits", "1000", "1"},
		{"XADD", "stream", "1-1", "f", "v"}, {"XADD", "stream", "1-2", "f", "v", "g", "w"}, {"XADD", "stream", "2-1", "f", "v"},
		{"XDEL", "stream", "1-2"}, {"XGROUP", "CREATE", "stream", "g", "0"},
		{"GEOADD", "geo", "13.361389", "38.115556", "Palermo"},
	}
	for i := range 300 {
		all = append(all,
			[]string{"SADD", "set", fmt.Sprint("m", i)}, []string{"HSET", "hash", fmt.Sprint("f", i), long},
			[]string{"ZADD", "zset", fmt.Sprint(i), fmt.Sprint("m", i)})
		if i < 5 {
			all = append(all, []string{"SADD", "ints", fmt.Sprint(i)}, []string{"SADD", "small", fmt.Sprint("s", i)},
				[]string{"HSET", "smallhash", fmt.Sprint("f", i), "v"}, []string{"ZADD", "smallzset", "-inf", fmt.Sprint("m", i)})
		}
	}
	return all
}

// Servers hold the same in other orders and encodings; their digests are equal.
func TestDigestEqual(t *testing.T) {
	var digests []map[digestKey]uint64
	for round := range 3 {
		s := startServer(t)
		b := openBackend(t, testConfig(s.addr))
		commands := everyType()
		ordered := 12 // streams need their order
		rand.Shuffle(len(commands)-ordered, func(i, j int) {
			commands[ordered+i], commands[ordered+j] = commands[ordered+j], commands[ordered+i]
		})
		if round == 1 {
			for _, parameter := range []string{"set-max-intset-entries", "hash-max-listpack-entries", "zset-max-listpack-entries"} {
				s.do(0, "CONFIG", "SET", parameter, "1")
			}
		}
		for _, args := range commands {
			for _, db := range []int{0, 7} {
				if reply := s.do(db, args...); strings.HasPrefix(reply, "-") {
					t.Fatalf("%q: %s", args, reply)
				}
			}
		}
		for i := range 100 {
			s.do(0, "RPUSH", "list", strings.Repeat("e", i))
		}
		s.do(0, "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 1 end)")
		digests = append(digests, digestOf(t, b))
	}
	for i, d := range digests[1:] {
		if !maps.Equal(d, digests[0]) {
			t.Errorf("server %d differs from the first", i+1)
		}
	}
	if n := len(digests[0]); n < 30 {
		t.Errorf("only %d items", n)
	}
}

// Every change of the data changes the digest of exactly the key that it is of.
func TestDigestNotices(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	for _, args := range everyType() {
		s.do(0, args...)
	}
	s.do(0, "RPUSH", "list", "a", "b", "c")
	before := digestOf(t, b)
	for _, args := range [][]string{
		{"INCR", "int"}, {"APPEND", "raw", "x"}, {"PEXPIREAT", "bin", fmt.Sprint(ShiftMillis + 5e12)}, {"PERSIST", "limited"},
		{"PFADD", "hll", "another"}, {"SETBIT", "bits", "1000", "0"}, {"XADD", "stream", "3-1", "f", "v"},
		{"XGROUP", "SETID", "stream", "g", "1-1"}, {"XDEL", "stream", "1-1"}, {"ZADD", "geo", "1", "Palermo"},
		{"SREM", "set", "m7"}, {"HSET", "hash", "f7", "y"}, {"ZINCRBY", "zset", "0.0001", "m7"}, {"SADD", "ints", "99"},
		{"HSET", "smallhash", "f0", "w"}, {"LINSERT", "list", "BEFORE", "b", "x"}, {"LSET", "list", "0", "b"}, {"DEL", "small"}, {"SET", "new", "v"},
	} {
		if reply := s.do(0, args...); strings.HasPrefix(reply, "-") || strings.HasPrefix(reply, ":0") && args[0] != "HSET" && args[0] != "ZADD" {
			if args[0] != "SETBIT" {
				t.Fatalf("%q: %s", args, reply)
			}
		}
		after := digestOf(t, b)
		if n := different(before, after); n != 1 {
			t.Errorf("%q changes the digests of %d keys", args, n)
		}
		before = after
	}
}

func different(a, b map[digestKey]uint64) (n int) {
	for key, value := range a {
		if other, ok := b[key]; !ok || other != value {
			n++
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			n++
		}
	}
	return n
}

func TestDigestOfRubbish(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	for _, data := range []string{"", "REDIS0010", "REDIS0010\xfe\x00\x0f\x01k\xff\xff\xff", strings.Repeat("x", 100)} {
		snap := &raft.Snapshot{Data: strings.NewReader(data), Size: int64(len(data))}
		if err := b.Digest(context.Background(), snap, func(string, uint64, uint64) {}); err == nil {
			t.Errorf("%q: no error", data)
		}
	}
}
