package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/nexus-replication/nexus/raft"
)

// base is a moment in the future of every clock this test runs by: Redis must not expire anything by itself.
const base = int64(2_000_000_000_000)

// checkCovers compares the index with the backend: every key with a deadline must be there, and not too late.
func checkCovers(t interface {
	Errorf(string, ...any)
	Helper()
}, s *server, b *Backend, dbs, keys int) {
	t.Helper()
	for db := range dbs {
		for k := range keys {
			key := fmt.Sprint("k", k)
			raw := s.do(db, "PEXPIRETIME", key)
			stored, _, ok := cutInteger([]byte(raw))
			if !ok {
				t.Errorf("PEXPIRETIME: %q", raw)
			}
			if stored < 0 {
				continue
			}
			got, found := b.Deadline(db, []byte(key))
			if !found || got > stored-ShiftMillis {
				t.Errorf("database %d, %s: the index says %d (%v), the backend %d", db, key, got, found, stored-ShiftMillis)
			}
		}
	}
}

// Random commands against a real server: the index never holds too little; deleting all that is due leaves nothing that
// is; and a rebuilt index agrees.
func TestDeadlinesModel(t *testing.T) {
	s := startServer(t)
	const dbs, keys = 3, 4
	index := uint64(0)
	b := openBackend(t, testConfig(s.addr))
	rapid.Check(t, func(t *rapid.T) {
		apply := func(commands ...raft.Command) {
			index++
			if err := b.Apply(context.Background(), []raft.Entry{entry(index, commands...)}); err != nil {
				t.Fatal(err)
			}
		}
		apply(op("FLUSHALL"))
		if n := b.Stats().Deadlines; n != 0 {
			t.Fatalf("%d deadlines after FLUSHALL", n)
		}
		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("k", rapid.IntRange(0, keys-1).Draw(t, "key")) })
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			db := rapid.IntRange(0, dbs-1).Draw(t, "db")
			other := strconv.Itoa(rapid.IntRange(0, dbs).Draw(t, "other"))
			k, j := key.Draw(t, "k"), key.Draw(t, "j")
			d := base + int64(rapid.IntRange(0, 100).Draw(t, "deadline"))
			at := strconv.FormatInt(d+ShiftMillis, 10)
			option := rapid.SampledFrom([]string{"NX", "XX", "GT", "LT", "GET", "BAD"}).Draw(t, "option")
			if rapid.IntRange(0, 3).Draw(t, "pend") == 0 {
				b.Pend(db, k, d)
			}
			commands := []raft.Command{
				opIn(db, "SET", k, "v", "PXAT", at), opIn(db, "SET", k, "v", "pxat", at, option), opIn(db, "SET", k, "v", option, "PXAT", at),
				opIn(db, "SET", k, "v"), opIn(db, "RPUSH", k, "x"), opIn(db, "DEL", k), opIn(db, "PERSIST", k),
				opIn(db, "GETEX", k, "PXAT", at), opIn(db, "PEXPIREAT", k, at), opIn(db, "PEXPIREAT", k, at, option),
				opIn(db, "RENAME", k, j), opIn(db, "RENAMENX", k, j), opIn(db, "COPY", k, j), opIn(db, "COPY", k, j, "REPLACE"),
				opIn(db, "COPY", k, j, "DB", other, "replace"), opIn(db, "MOVE", k, other), opIn(db, "SWAPDB", strconv.Itoa(db), other),
				opIn(db, "SWAPDB", strconv.Itoa(db), "77"), opIn(db, "FLUSHDB", "BAD"), opIn(db, "FLUSHDB"),
				opIn(db, "EVAL", "redis.call('SET',KEYS[1],'v','PXAT',ARGV[1])", "1", k, at),
				opIn(db, "EVAL", "redis.call('RPUSH',KEYS[1],'v') redis.call('SET',KEYS[1],'v','GET','PXAT',ARGV[1])", "1", k, at),
			}
			apply(rapid.SampledFrom(commands).Draw(t, "command"))
			if rapid.IntRange(0, 9).Draw(t, "expire") == 0 {
				expireDue(t, s, b, apply, base+int64(rapid.IntRange(0, 50).Draw(t, "now")))
			}
			checkCovers(t, s, b, dbs+1, keys)
		}
		c := openBackend2(t, s)
		checkCovers(t, s, c, dbs+1, keys)
		_ = c.Close()
		expireDue(t, s, b, apply, base+100)
		if n := b.Stats().Deadlines; n != 0 {
			t.Fatalf("%d deadlines after all were due", n)
		}
	})
}

func openBackend2(t *rapid.T, s *server) *Backend {
	b, err := New(testConfig(s.addr))
	if err == nil {
		_, err = b.Open(context.Background(), testID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// expireDue does what a leader does: deletes what is due until nothing is.
func expireDue(t *rapid.T, s *server, b *Backend, apply func(...raft.Command), now int64) {
	for round := 0; ; round++ {
		due := b.Due(now, 3)
		if len(due) == 0 {
			break
		}
		if round > 200 {
			t.Fatalf("%v stay due", due)
		}
		for i, k := range due {
			if k.Deadline > now || (i > 0 && k.Deadline < due[i-1].Deadline) {
				t.Fatalf("wrong order: %v at %d", due, now)
			}
			apply(raft.Command{Data: AppendOp(nil, ExpireItem(now, k.DB, []string{k.Key, "k0"}))})
		}
	}
	if next, ok := b.NextDue(); ok && next <= now {
		t.Fatalf("next is %d at %d", next, now)
	}
}

func TestExpireItem(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	at := func(d int64) string { return strconv.FormatInt(base+d+ShiftMillis, 10) }
	mustApply(t, b, entry(1, op("SET", "due", "v", "PXAT", at(5)), op("SET", "later", "v", "PXAT", at(6)), op("SET", "none", "v"),
		op("SET", "moved", "v", "PXAT", at(5)), op("SET", "moved", "v", "PXAT", at(9)), op("SET", "kept", "v", "PXAT", at(5)), op("SET", "kept", "w")))
	if d, _ := b.Deadline(0, []byte("moved")); d != base+9 {
		t.Errorf("moved: %d", d-base)
	}
	e := entry(2, raft.Command{Wanted: true, Data: AppendOp(nil, ExpireItem(base+5, 0, []string{"due", "later", "none", "moved", "kept", "missing"}))})
	mustApply(t, b, e)
	want := fmt.Sprintf("*6\r\n:-3\r\n:%s\r\n:-1\r\n:%s\r\n:-1\r\n:-2\r\n", at(6), at(9))
	if got := string(e.Commands[0].Reply); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := s.do(0, "EXISTS", "due", "later", "none", "moved", "kept"); got != ":4\r\n" {
		t.Errorf("%q keys left", got)
	}
	if n := b.Stats().Deadlines; n != 2 {
		t.Errorf("%d deadlines", n)
	}
}

// What is proposed and not yet applied stays in the index when something older is applied.
func TestPend(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	at := func(d int64) string { return strconv.FormatInt(base+d+ShiftMillis, 10) }
	deadline := func() int64 {
		d, ok := b.Deadline(0, []byte("k"))
		if !ok {
			return -1
		}
		return d - base
	}
	b.Pend(0, "k", base+7)
	mustApply(t, b, entry(1, op("SET", "k", "v", "PXAT", at(9))), entry(2, op("FLUSHALL")),
		entry(3, raft.Command{Data: AppendOp(nil, ExpireItem(base+6, 0, []string{"k"}))}), entry(4, op("SWAPDB", "0", "1")))
	if d := deadline(); d != 7 {
		t.Errorf("pending: %d", d)
	}
	mustApply(t, b, entry(5, op("SET", "k", "v", "PXAT", at(7))), entry(6, op("SET", "k", "v", "PXAT", at(12))))
	if d := deadline(); d != 12 {
		t.Errorf("applied: %d", d)
	}
	// One that is never applied goes when its time has come.
	b.Pend(0, "k", base+10)
	if d := deadline(); d != 10 {
		t.Errorf("pending again: %d", d)
	}
	mustApply(t, b, entry(7, raft.Command{Data: AppendOp(nil, ExpireItem(base+11, 0, []string{"k"}))}))
	if d := deadline(); d != 12 {
		t.Errorf("expired: %d", d)
	}
}

func TestRebuildLarge(t *testing.T) {
	s := startServer(t)
	openBackend(t, testConfig(s.addr))
	script := "for i=1,%d do redis.call('SET','%s'..i,'v','PXAT',%d+i) end"
	s.do(2, "EVAL", fmt.Sprintf(script, 30000, "shifted:", base+ShiftMillis), "0")
	s.do(2, "EVAL", "for i=1,5000 do redis.call('SET','plain:'..i,'v') end", "0")
	s.do(9, "SET", "x", "y")
	b := openBackend(t, testConfig(s.addr))
	if n := b.Stats().Deadlines; n != 30000 {
		t.Errorf("%d deadlines", n)
	}
	due := b.Due(base+20000, 1_000_000)
	if len(due) != 20000 {
		t.Fatalf("%d due", len(due))
	}
	for i, k := range due {
		if k != (DueKey{2, fmt.Sprint("shifted:", i+1), base + int64(i+1)}) {
			t.Fatalf("place %d: %v", i, k)
		}
	}
}

func TestDeadlinesConcurrent(t *testing.T) {
	d := newDeadlines()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 2))
			for i := range 3000 {
				key := fmt.Sprint("k", rnd.IntN(50))
				d.Pend(rnd.IntN(2), key, int64(rnd.IntN(1000)))
				d.Deadline(0, []byte(key))
				d.NextDue()
				if i%50 == 0 {
					d.Due(500, 10)
					d.mu.Lock()
					d.swap(0, 1)
					d.clear(0)
					d.releaseUntil(1, key, 500)
					d.mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	last := int64(0)
	for i, k := range d.Due(never-1, 1_000_000) {
		if k.Deadline < last {
			t.Fatalf("place %d out of order", i)
		}
		last = k.Deadline
	}
	for i, e := range d.heap {
		if e.at != i || d.dbs[e.db.num].keys[e.key] != e || (i > 0 && d.heap[(i-1)/2].due > e.due) {
			t.Fatalf("place %d is broken: %+v", i, e)
		}
	}
	if int(d.size.Load()) != len(d.heap) {
		t.Errorf("size %d of %d", d.size.Load(), len(d.heap))
	}
}

// With an outcome that is not known, the index must cover both.
func TestDeadlinesUnknownOutcome(t *testing.T) {
	run := func(how outcome, lines ...string) *Deadlines {
		d := newDeadlines()
		for _, line := range lines {
			line = strings.ReplaceAll(line, "@", strconv.FormatInt(ShiftMillis, 10)[:len(strconv.FormatInt(ShiftMillis, 10))-2])
			args, _ := ParseCommand(command(strings.Fields(line)...), nil)
			d.command(0, args, how)
		}
		return d
	}
	d := run(outcomeDone, "SET k v PXAT 1099511627786", "SWAPDB 0 1")
	if _, ok := d.Deadline(0, []byte("k")); ok {
		t.Error("SWAPDB left the key behind")
	}
	d.command(0, [][]byte{[]byte("SWAPDB"), []byte("1"), []byte("2")}, outcomeUnknown)
	for _, db := range []int{1, 2} {
		if got, ok := d.Deadline(db, []byte("k")); !ok || got != 10 {
			t.Errorf("database %d: %d %v", db, got, ok)
		}
	}
	d.command(1, [][]byte{[]byte("FLUSHALL")}, outcomeUnknown)
	if d.size.Load() != 2 {
		t.Error("FLUSHALL took effect")
	}
}
