package redis

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/raft"
)

// What is sent for SETs that stand together, and for those that do not.
func TestSetsGoTogether(t *testing.T) {
	set := func(args ...string) string { return string(command(args...)) }
	sel := func(db string) string { return set("SELECT", db) }
	big := strings.Repeat("x", bigCommand)
	many, pairs := []raft.Command{}, []string{"MSET"}
	for i := range maxSets + 1 {
		many = append(many, op("SET", fmt.Sprint(i), "v"))
		if i < maxSets {
			pairs = append(pairs, fmt.Sprint(i), "v")
		}
	}
	for _, tc := range []struct {
		name string
		cmds []raft.Command
		want string
	}{
		{"one", []raft.Command{op("set", "a", "1")}, sel("0") + set("SET", "a", "1")},
		{"two", []raft.Command{op("SET", "a", "1"), op("seT", "a", "2")}, sel("0") + set("MSET", "a", "1", "a", "2")},
		{"between others", []raft.Command{op("INCR", "n"), op("SET", "a", "1"), op("SET", "b", "2"), op("GET", "a")},
			sel("0") + set("INCR", "n") + set("MSET", "a", "1", "b", "2") + set("GET", "a")},
		{"options", []raft.Command{op("SET", "a", "1"), op("SET", "b", "2", "NX"), op("SET", "c", "3")},
			sel("0") + set("SET", "a", "1") + set("SET", "b", "2", "NX") + set("SET", "c", "3")},
		{"no SET", []raft.Command{op("GET", "a", "1"), op("SET", "a")}, sel("0") + set("GET", "a", "1") + set("SET", "a")},
		{"databases", []raft.Command{op("SET", "a", "1"), opIn(2, "SET", "b", "2"), opIn(2, "SET", "c", "3"), op("SET", "d", "4")},
			sel("0") + set("SET", "a", "1") + sel("2") + set("MSET", "b", "2", "c", "3") + sel("0") + set("SET", "d", "4")},
		{"a large one", []raft.Command{op("SET", "a", "1"), op("SET", "b", big), op("SET", "c", "3")},
			sel("0") + set("SET", "a", "1") + set("SET", "b", big) + set("SET", "c", "3")},
		{"many", many, sel("0") + set(pairs...) + set("SET", fmt.Sprint(maxSets), "v")},
	} {
		cfg := testConfig("")
		var r run
		if err := r.build(&cfg, []raft.Entry{entry(1, tc.cmds...)}, 16, nodeSettings{}, &Users{}); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		r.cut()
		var got strings.Builder
		for _, p := range r.parts {
			got.Write(p)
		}
		if want := "*1\r\n$5\r\nMULTI\r\n" + tc.want; got.String() != want {
			t.Errorf("%s: sends %.300q, want %.300q", tc.name, got.String(), want)
		}
	}
}

// A server that gets SETs together holds the same, and answers the same, as one that gets each command by itself.
func TestSetsAreTheSame(t *testing.T) {
	s, direct := startServer(t), startServer(t)
	b := openBackend(t, testConfig(s.addr))
	rng := rand.New(rand.NewPCG(1, 2))
	key := func() string { return fmt.Sprint("k", rng.IntN(8)) }
	far := fmt.Sprint(int64(1)<<41 + ShiftMillis)
	commands := func() []string {
		switch rng.IntN(16) {
		case 0:
			return []string{"SET", key(), "v", "PXAT", far}
		case 1:
			return []string{"SET", key(), "v", "NX", "GET"}
		case 2:
			return []string{"LPUSH", key(), "x"}
		case 3:
			return []string{"GET", key()}
		case 4:
			return []string{"PEXPIREAT", key(), far}
		case 5:
			return []string{"INCR", key()}
		case 6:
			return []string{"SET", key(), strings.Repeat("y", bigCommand)}
		default:
			return []string{"set", key(), fmt.Sprint(rng.IntN(100))}
		}
	}
	for i := range uint64(30) {
		e := entry(i + 1)
		var want []string
		for range rng.IntN(400) {
			db, args := rng.IntN(20)/19, commands()
			c := raft.Command{Wanted: rng.IntN(2) == 0, Data: AppendOp(nil,
				Item{DB: db, Cmd: command(args...), Flags: ItemDeadline | ItemFlags(rng.IntN(2))*ItemRESP3})}
			if args[len(args)-1] == "GET" || args[0] == "GET" {
				c.Data = AppendOp(nil, Item{DB: db, Cmd: command(args...), Flags: ItemDeadline})
			}
			e.Commands = append(e.Commands, c)
			want = append(want, direct.do(db, args...))
		}
		mustApply(t, b, e)
		for j := range e.Commands {
			if c := &e.Commands[j]; c.Wanted && string(c.Reply) != want[j] {
				t.Fatalf("entry %d, command %d: got %.80q, want %.80q", i, j, c.Reply, want[j])
			}
		}
		for db := range 2 {
			for k := range 8 {
				name := fmt.Sprint("k", k)
				for _, args := range [][]string{{"TYPE", name}, {"GET", name}, {"OBJECT", "ENCODING", name}, {"PEXPIRETIME", name}} {
					if got, want := s.do(db, args...), direct.do(db, args...); got != want {
						t.Fatalf("entry %d: %q in database %d: %.80q, want %.80q", i, args, db, got, want)
					}
				}
				_, has := b.Deadline(db, []byte(name))
				if none := strings.HasPrefix(direct.do(db, "PEXPIRETIME", name), ":-"); !none && !has {
					t.Fatalf("entry %d: the index has no deadline of %s in database %d", i, name, db)
				}
			}
		}
	}
	if !strings.Contains(s.do(0, "INFO", "commandstats"), "cmdstat_mset:") {
		t.Error("no SETs went together")
	}
}
