package policy

import (
	"slices"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/redistest"
)

// TestKeysMatchServer: keys that AppendKeys calls exact are those that the
// server names; of others, it names no key that the server does not.
func TestKeysMatchServer(t *testing.T) {
	c, table := redistest.Dial(t), NewTable()
	cases := [][][]byte{
		words("SORT", "k", "STORE", "d"), words("SORT", "k", "LIMIT", "0", "1", "STORE", "d", "ASC"),
		words("SORT", "k", "BY", "w_*"), words("SORT", "k", "GET", "w_*", "STORE", "d"), words("SORT_RO", "k"),
		words("GEORADIUS", "k", "1", "2", "3", "km"), words("GEORADIUS", "k", "1", "2", "3", "km", "STORE", "d"),
		words("GEORADIUSBYMEMBER", "k", "m", "3", "km", "STOREDIST", "d"),
		words("ZUNIONSTORE", "d", "2", "a", "b", "WEIGHTS", "1", "2"), words("ZUNION", "2", "a", "b", "WITHSCORES"),
		words("ZINTER", "1", "a"), words("ZDIFF", "2", "a", "b"), words("ZDIFFSTORE", "d", "1", "a"),
		words("ZINTERSTORE", "d", "1", "a"), words("ZINTERCARD", "2", "a", "b", "LIMIT", "3"),
		words("SINTERCARD", "2", "a", "b"), words("LMPOP", "2", "a", "b", "LEFT"), words("ZMPOP", "1", "a", "MIN"),
		words("ZUNION", "3", "a", "b"), words("ZUNION", "0", "a"), words("ZUNION", "x", "a"), words("LMPOP", "-1", "a", "LEFT"),
		words("XREAD", "COUNT", "1", "STREAMS", "a", "b", "0", "0"),
		words("COPY", "a", "b", "REPLACE"), words("COPY", "a", "b", "DB", "1"), words("MOVE", "a", "1"),
		words("MSET", "a", "1", "b", "2"), words("DEL", "a", "b", "c"), words("BITOP", "AND", "d", "a", "b"),
		words("OBJECT", "ENCODING", "k"), words("MEMORY", "USAGE", "k"), words("XGROUP", "CREATE", "k", "g", "$"),
		words("LCS", "a", "b"), words("FLUSHALL"), words("KEYS", "*"), words("SCAN", "0"), words("DBSIZE"),
	}
	for _, s := range table.Specs() {
		if s.Policy != Refused && s.Policy != Local && s.Policy != Static {
			cases = append(cases, sampleArgs(s.Name, max(s.Arity, -s.Arity)), sampleArgs(s.Name, max(s.Arity, -s.Arity)+4))
		}
	}
	for _, args := range cases {
		// Some samples are malformed; their rows do not care.
		name := string(args[0])
		d := table.Lookup(args, testContext)
		if d.Spec == nil {
			t.Fatalf("%q: %s", name, d.Err)
		}
		keys, exact := d.Spec.AppendKeys(nil, args)
		reply := c.DoArgs(append(words("COMMAND", "GETKEYS"), args...))
		var want []string
		if list, ok := reply.([]any); ok {
			for _, k := range list {
				want = append(want, k.(string))
			}
		} else if e := reply.(redistest.Error); e != "ERR The command has no key arguments" {
			continue
		}
		var got []string
		for _, k := range keys {
			got = append(got, string(k))
		}
		slices.Sort(got)
		slices.Sort(want)
		if exact && !slices.Equal(got, want) {
			t.Errorf("%q: keys %q, server %q", args, got, want)
		}
		for _, k := range got {
			if !slices.Contains(want, k) {
				t.Errorf("%q: %q is no key for the server, which has %q", args, k, want)
			}
		}
	}
}

func TestKeysExact(t *testing.T) {
	table := NewTable()
	for _, tc := range []struct {
		args  [][]byte
		keys  [][]byte
		exact bool
	}{
		{words("GET", "k"), words("k"), true},
		{words("MSET", "a", "1", "b", "2"), words("a", "b"), true},
		{words("SORT", "k"), words("k"), true},
		{words("SORT", "k", "STORE", "d"), words("k", "d"), true},
		{words("SORT", "k", "BY", "w_*"), words("k"), false},
		{words("SORT", "k", "GET", "#"), words("k"), false},
		{words("SORT_RO", "k", "GET", "x*"), words("k"), false},
		{words("COPY", "a", "b", "REPLACE"), words("a", "b"), true},
		{words("COPY", "a", "b", "DB", "1"), words("a"), false},
		{words("MOVE", "a", "1"), words("a"), false},
		{words("ZUNIONSTORE", "d", "2", "a", "b"), words("d", "a", "b"), true},
		{words("ZUNION", "3", "a", "b"), nil, false},
		{words("GEORADIUS", "k", "1", "2", "3", "km"), words("k"), true},
		{words("GEORADIUS", "k", "1", "2", "3", "km", "STORE", "d"), words("k"), false},
		{words("XREAD", "STREAMS", "a", "0"), words("a"), true},
		{words("XREAD", "COUNT", "1", "STREAMS", "a", "b", "0", "0"), words("a", "b"), true},
		{words("XREADGROUP", "GROUP", "streams", "c", "NOACK", "STREAMS", "a", "b", ">", ">"), words("a", "b"), true},
		{words("XREADGROUP", "GROUP", "g", "c", "FOO", "STREAMS", "a", ">"), nil, false},
		{words("XREAD", "STREAMS", "a", "b", "0"), words("a"), false},
		{words("KEYS", "*"), nil, false},
		{words("SCAN", "0"), nil, false},
		{words("RANDOMKEY"), nil, false},
		{words("DBSIZE"), nil, false},
		{words("FLUSHDB"), nil, false},
		{words("FLUSHALL"), nil, false},
		{words("SWAPDB", "0", "1"), nil, false},
		{words("PING"), nil, true},
	} {
		d := table.Lookup(tc.args, testContext)
		keys, exact := d.Spec.AppendKeys(nil, tc.args)
		if exact != tc.exact || !slices.EqualFunc(keys, tc.keys, slices.Equal[[]byte]) {
			t.Errorf("%q: keys %q, exact %t", tc.args, keys, exact)
		}
	}
}
