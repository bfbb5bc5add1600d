package policy

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/redistest"
)

// TestUnknownMatchesServer compares the errors for what does not exist.
func TestUnknownMatchesServer(t *testing.T) {
	c, table := redistest.Dial(t), NewTable()
	long := strings.Repeat("x", 200)
	cases := [][]string{
		{"foo"}, {"foo", "a", "b"}, {"FOO", "a\r\nb"}, {"fo\ro\n", "x"}, {""}, {"", ""},
		{long}, {long, long, long}, {"foo", long, "b"}, {"foo", long[:100], long[:100], "c"},
		{"foo", long[:124], "b"}, {"foo", long[:125], "b"}, {"foo", long[:123], "b", "c"},
		{"foo", long[:126], "b"}, {"foo", long[:127], "b"}, {"foo", long[:128]},
		{"foo", "a\x00b", "c"}, {"fo\x00o", "a"}, {"geté"},
		{"config", "foo"}, {"CoNfIg", "FOO", "bar"}, {"config", long}, {"config", "a\r\nb"},
		{"config", "a\x00b"}, {"config", ""}, {"client", "setinfoo", "lib-name", "x"},
		{"object", "foo"}, {"memory", "foo"}, {"xinfo", "foo"}, {"xgroup", "foo"},
		{"pubsub", "foo"}, {"acl", "foo"}, {"command", "foo"}, {"script", "foo"},
		{"function", "foo"}, {"cluster", "foo"}, {"latency", "foo"}, {"slowlog", "foo"},
		{"module", "foo"}, {"config|get", "x"}, {"config", "get|x"},
		{"get"}, {"GET", "a", "b"}, {"config", "get"}, {"xgroup", "create", "k"}, {"object", "help", "x"},
		{"cluster", "info"}, {"CLUSTER", "HELP"}, {"asking"}, {"readonly"}, {"readwrite"},
		{"ping", "a", "b"}, {"hello", "3x"},
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		args := []string{"nosuch" + strings.Repeat("y", r.IntN(140))}
		for range r.IntN(6) {
			b := make([]byte, r.IntN(80))
			for i := range b {
				b[i] = "ab '\r\n\x00\xff"[r.IntN(8)]
			}
			args = append(args, string(b))
		}
		cases = append(cases, args)
	}
	for _, args := range cases {
		d := table.Lookup(words(args...), testContext)
		want, ok := c.Do(args...).(redistest.Error)
		if args[0] == "hello" {
			if d.Policy != Local {
				t.Errorf("%q: %s %q", args, d.Policy, d.Err)
			}
			continue
		}
		if !ok || string(want) != d.Err || d.Policy != Refused {
			t.Errorf("%q:\n got %q (%s)\nwant %q", args, d.Err, d.Policy, want)
		}
	}
}

// TestNameIsWhole: Redis compares names as C strings, so "get\x00x" runs GET
// whenever the random seed of its hash table puts both in one bucket. The table
// never takes the one for the other.
func TestNameIsWhole(t *testing.T) {
	table := NewTable()
	for _, args := range [][][]byte{words("get\x00x", "k"), words("config", "get\x00", "k"), words(" get", "k")} {
		if d := table.Lookup(args, testContext); d.Err == "" || d.Policy != Refused {
			t.Errorf("%q: %s %q", args, d.Policy, d.Err)
		}
	}
}

func TestLookupEmpty(t *testing.T) {
	if d := NewTable().Lookup(nil, testContext); d.Err == "" || d.Policy != Refused || d.Spec != nil {
		t.Errorf("Lookup of nothing = %+v", d)
	}
}

var commonCommands = [][][]byte{
	words("GET", "key"),
	words("set", "key", "value"),
	words("SET", "key", "value", "NX", "EX", "100"),
	words("HSET", "key", "field", "value"),
	words("config", "GET", "maxmemory"),
	words("SORT", "key", "LIMIT", "0", "10", "STORE", "other"),
	words("XADD", "key", "MAXLEN", "~", "1000", "1-1", "f", "v"),
	words("GETEX", "key", "PX", "100"),
	words("COPY", "a", "b", "DB", "3", "REPLACE"),
	words("RESTORE", "key", "0", "payload", "REPLACE"),
	words("georadiusbymember_ro", "key", "m", "1", "km"),
}

func TestLookupDoesNotAllocate(t *testing.T) {
	table := NewTable()
	keys := make([][]byte, 0, 16)
	for _, args := range commonCommands {
		n := testing.AllocsPerRun(100, func() {
			d := table.Lookup(args, testContext)
			if d.Err != "" {
				t.Fatal(d.Err)
			}
			d.Spec.AppendKeys(keys, args)
		})
		if n != 0 {
			t.Errorf("%q: %v allocations", args, n)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	table := NewTable()
	for _, args := range commonCommands[:6] {
		b.Run(string(args[0]), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				table.Lookup(args, testContext)
			}
		})
	}
}

func BenchmarkRewriteTime(b *testing.B) {
	args := words("SET", "key", "value", "EX", "100")
	b.ReportAllocs()
	for b.Loop() {
		RewriteTime(args, 1700000000000)
	}
}
