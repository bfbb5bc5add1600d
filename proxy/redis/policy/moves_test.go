package policy

import (
	"reflect"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/redistest"
)

func TestMovesDeadline(t *testing.T) {
	table := NewTable()
	a, b := []byte("a"), []byte("b")
	for _, tc := range []struct {
		args [][]byte
		want Move
	}{
		{words("RENAME", "a", "b"), Move{MoveRename, a, b, CurrentDB, CurrentDB}},
		{words("RENAMENX", "a", "b"), Move{MoveRename, a, b, CurrentDB, CurrentDB}},
		{words("COPY", "a", "b"), Move{MoveCopy, a, b, CurrentDB, CurrentDB}},
		{words("COPY", "a", "b", "REPLACE", "DB", "7"), Move{MoveCopy, a, b, CurrentDB, 7}},
		{words("COPY", "a", "b", "DB", "7", "db", "8"), Move{MoveCopy, a, b, CurrentDB, 8}},
		{words("MOVE", "a", "3"), Move{MoveKey, a, a, CurrentDB, 3}},
		{words("SWAPDB", "1", "2"), Move{MoveSwapDB, nil, nil, 1, 2}},
		{words("FLUSHDB"), Move{MoveFlushDB, nil, nil, CurrentDB, CurrentDB}},
		{words("FLUSHALL", "ASYNC"), Move{MoveFlushAll, nil, nil, CurrentDB, CurrentDB}},
		{words("RESTORE", "b", "0", "p"), Move{MoveRestore, nil, b, CurrentDB, CurrentDB}},
		{words("SET", "a", "b"), Move{MoveNone, nil, nil, CurrentDB, CurrentDB}},
	} {
		d := table.Lookup(tc.args, testContext)
		if d.Err != "" {
			t.Fatalf("%q: %s", tc.args, d.Err)
		}
		if got := MovesDeadline(d.Spec, tc.args); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%q: %+v, want %+v", tc.args, got, tc.want)
		}
	}
	if got := MovesDeadline(nil, nil); got.Kind != MoveNone {
		t.Errorf("no command: %+v", got)
	}
}

// TestMovesAreAll runs every write of the table that needs no more than two
// keys on a key with a deadline: where another key ends up with that deadline,
// MovesDeadline must have said so.
func TestMovesAreAll(t *testing.T) {
	c, table := redistest.Dial(t), NewTable()
	c.Do("FLUSHALL")
	payloads := [][]string{
		{"SET", "a", "1"}, {"RPUSH", "a", "1"}, {"SADD", "a", "1"}, {"HSET", "a", "1", "1"}, {"ZADD", "a", "1", "1"},
		{"XADD", "a", "1-1", "f", "v"}, {"PFADD", "a", "1"}, {"GEOADD", "a", "1", "1", "1"},
	}
	tails := [][]string{
		{"a", "b"}, {"b", "a"}, {"a", "b", "1"}, {"b", "1", "a"}, {"a", "b", "LEFT", "RIGHT"}, {"b", "a", "0", "-1"},
		{"NOT", "b", "a"}, {"a", "STORE", "b"}, {"b", "a", "FROMMEMBER", "1", "BYRADIUS", "9", "km"}, {"b", "1", "a"},
		{"a", "1", "1", "9", "km", "STORE", "b"}, {"a", "1", "9", "km", "STORE", "b"},
	}
	moved := 0
	for _, s := range table.Specs() {
		for _, tail := range tails {
			args := append(words(s.Name), words(tail...)...)
			d := table.Lookup(args, testContext)
			if !d.Policy.Writes() {
				continue
			}
			for _, p := range payloads {
				c.Do("DEL", "a", "b")
				c.Do(p...)
				c.Do("PEXPIREAT", "a", "9999999999999")
				c.DoArgs(args)
				if c.Do("PEXPIRETIME", "b") != any(int64(9999999999999)) {
					continue
				}
				moved++
				if m := MovesDeadline(d.Spec, args); string(m.Src) != "a" || string(m.Dst) != "b" {
					t.Errorf("%q carries a deadline; MovesDeadline says %+v", args, m)
				}
			}
		}
	}
	if moved == 0 {
		t.Error("nothing carried a deadline")
	}
}
