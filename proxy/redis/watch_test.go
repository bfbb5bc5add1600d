package redis

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/raft"
)

// TestWatchEqualsPlainRedis runs scenarios of two clients against the proxy and a plain server. Each line of the file is
// a scenario, its steps separated by " ; "; a step that begins with "2:" is the other client's.
func TestWatchEqualsPlainRedis(t *testing.T) {
	p := startProxy(t)
	plain := startRedis(t)
	scenarios, err := os.ReadFile("testdata/watch.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range protocols {
		for line := range strings.Lines(string(scenarios)) {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			ours, exp := []*client{dial(t, p.addr), dial(t, p.addr)}, []*client{dial(t, plain), dial(t, plain)}
			speak(protocol, ours[0], ours[1], exp[0], exp[1])
			ours[1].cmd("FLUSHALL")
			exp[1].cmd("FLUSHALL")
			for i, step := range strings.Split(line, " ; ") {
				step, second := strings.CutPrefix(step, "2:")
				who := 0
				if second {
					who = 1
				}
				if got, exp := ours[who].cmd(step), exp[who].cmd(step); got != exp {
					t.Errorf("RESP%d: %s\nstep %d, %s:\n got %q\nwant %q", protocol, line, i, step, got, exp)
				}
			}
			for _, c := range append(ours, exp...) {
				c.conn.Close()
			}
		}
	}
}

// What other nodes' clients have put into the log before the transaction, and this node has not applied yet.
func TestWatchSeesTheLog(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	for _, tc := range []struct {
		db    int
		flags backend.ItemFlags
		line  string
		abort bool
	}{
		{0, 0, "INCR k", true},
		{0, 0, "INCR other", false},
		{1, 0, "INCR k", false},
		{0, 0, "GET k", false},
		{0, 0, "MSET a 1 k 2", true},
		{1, backend.ItemDeadline, "FLUSHDB", false},
		{0, backend.ItemDeadline, "FLUSHDB", true},
		{1, backend.ItemDeadline, "FLUSHALL", true},
		{2, backend.ItemDeadline, "SWAPDB 0 1", true},
		{0, backend.ItemDeadline, "SWAPDB 1 2", false},
		{0, backend.ItemDeadline, "COPY k a", false},
		{0, backend.ItemDeadline, "COPY a k", true},
		{1, backend.ItemDeadline, "COPY a k DB 0", true},
		{1, backend.ItemDeadline, "COPY a k DB 2", false},
		{1, backend.ItemDeadline, "MOVE k 0", true},
		{0, backend.ItemDeadline, "RENAME a k", true},
		{0, 0, "FCALL f 0", true},
		{0, 0, "FCALL f 1 other", true},
		{0, 0, "EVAL return(1) 1 other", false}, // one of Nexus's own: it touches what it declares
		{0, 0, "EVAL return(1) 1 k", true},
		{0, backend.ItemTime | backend.ItemDeadline, "EXPIRE k 100", true},
		{0, backend.ItemTime | backend.ItemDeadline, "EXPIRE k 9223372036854775", false}, // becomes an error
	} {
		c.cmd("SET a 1")
		want(t, c.cmd("WATCH k"), replyOK)
		p.log.mu.Lock()
		p.log.other = func() [][]byte { return [][]byte{testOp(tc.db, tc.flags, tc.line)} }
		p.log.mu.Unlock()
		c.cmd("MULTI")
		c.cmd("INCR done")
		got := c.cmd("EXEC")
		if aborted := got == "*-1\r\n"; aborted != tc.abort || !aborted && !strings.HasPrefix(got, "*1\r\n:") {
			t.Errorf("%d: %s: EXEC answered %q", tc.db, tc.line, got)
		}
	}
}

// Session commands of a transaction that is not executed have no effect.
func TestWatchedTransactionLeavesTheSessionAlone(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("CLIENT SETNAME before")
	c.cmd("WATCH k")
	p.log.other = func() [][]byte { return [][]byte{testOp(0, 0, "INCR k")} }
	for _, line := range []string{"MULTI", "SELECT 4", "HELLO 3", "CLIENT SETNAME after", "SET x 1"} {
		c.cmd(line)
	}
	want(t, c.cmd("EXEC"), "*-1\r\n")
	want(t, c.cmd("CLIENT GETNAME"), "$6\r\nbefore\r\n")
	want(t, c.cmd("GET x"), "$-1\r\n")
	if got := c.cmd("CLIENT INFO"); !strings.Contains(got, " db=0 ") || !strings.Contains(got, " resp=2\n") {
		t.Errorf("CLIENT INFO: %q", got)
	}
}

func TestWatchedKeyExpires(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("SET k v PX 1")
	waitDue(p)
	want(t, c.cmd("WATCH k"), replyOK) // has it deleted first
	c.cmd("MULTI")
	c.cmd("PING")
	want(t, c.cmd("EXEC"), "*1\r\n+PONG\r\n")
	for _, work := range []string{"SET x 1", "PING"} {
		for watched := false; !watched; { // before it was due
			c.cmd("UNWATCH")
			c.cmd("SET k v PX 500")
			c.cmd("WATCH k")
			at, ok := p.store.NextDue()
			watched = ok && time.Now().UnixMilli() < at
		}
		c.cmd("MULTI")
		c.cmd(work)
		waitDue(p)
		want(t, c.cmd("EXEC"), "*-1\r\n")
	}
}

// waitDue waits until the earliest deadline has come, by the clock.
func waitDue(p *proxy) {
	for at, ok := p.store.NextDue(); ok && time.Now().UnixMilli() <= at; {
		time.Sleep(time.Millisecond)
	}
}

func TestWatchFailsClosed(t *testing.T) {
	p := startProxy(t)
	c, other := dial(t, p.addr), dial(t, p.addr)
	fails := errors.New("connection lost")
	p.log.readFails = func() error { return fails }
	if got := c.cmd("WATCH k"); !strings.HasPrefix(got, "-TRYAGAIN nexus: ") {
		t.Errorf("WATCH: %q", got)
	}
	p.log.readFails = nil
	c.cmd("MULTI")
	c.cmd("SET k v")
	want(t, c.cmd("EXEC"), "*-1\r\n")
	c.cmd("MULTI")
	c.cmd("SET k v")
	want(t, c.cmd("EXEC"), "*1\r\n+OK\r\n")
	// The backend forgets: with the data it had, the watches are gone too.
	c.cmd("WATCH k")
	c.cmd("MULTI")
	c.cmd("SET k v")
	other.cmd("PING")
	killWatchers(t, p)
	want(t, c.cmd("EXEC"), "*-1\r\n")
	// Too many keys.
	small := dial(t, startProxy(t, func(c *Config) { c.MaxTransactionBytes = 10_000 }).addr)
	want(t, small.do("WATCH", strings.Repeat("k", 6000)), replyOK)
	want(t, small.do("WATCH", strings.Repeat("l", 6000)), "-"+errTextWatchTooLarge+"\r\n")
}

// killWatchers closes the connections of the backend that watch keys, on the backend's side.
func killWatchers(t *testing.T, p *proxy) {
	t.Helper()
	plain := dial(t, p.redis)
	for line := range strings.Lines(plain.cmd("CLIENT LIST")) {
		if strings.Contains(line, "cmd=watch ") && strings.Contains(line, " db=0 ") {
			plain.cmd("CLIENT KILL ID " + strings.TrimPrefix(strings.Fields(line)[0], "id="))
		}
	}
}

// The connections that watch are given back by all that ends a watch, and closed with the client.
func TestWatchGivesBackItsConnection(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	watching := func(n int) {
		t.Helper()
		for end := time.Now().Add(40 * time.Second); ; time.Sleep(time.Millisecond) {
			got := 0
			for line := range strings.Lines(dial(t, p.redis).cmd("CLIENT LIST")) {
				if strings.Contains(line, "cmd=watch ") && strings.Contains(line, " db=0 ") {
					got++
				}
			}
			if got == n {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d connections watch, want %d", got, n)
			}
		}
	}
	for _, end := range []string{"UNWATCH", "RESET", "MULTI;DISCARD", "MULTI;EXEC", "MULTI;SET;EXEC", "MULTI;SET x 1;EXEC", "EXEC x", "MULTI;EXEC x"} {
		c.cmd("WATCH k l")
		watching(1)
		for _, line := range strings.Split(end, ";") {
			c.cmd(line)
		}
		watching(0)
	}
	c.cmd("WATCH k")
	watching(1)
	c.conn.Close()
	watching(0)
}

// fakeView is a LogView of entries that a test wrote.
type fakeView struct {
	first   uint64
	entries []raft.Entry
	looks   int
	waiting [][]byte
	due     bool
}

func (v *fakeView) Waiting() ([][]byte, bool) { return v.waiting, v.due }

func (v *fakeView) After(index uint64) ([]raft.Entry, bool) {
	v.looks++
	if index+1 < v.first || index >= v.first+uint64(len(v.entries)) {
		return nil, false
	}
	return v.entries[index+1-v.first:], true
}

func conditional(after uint64, key, line string) raft.Command {
	cmd := appendRequest(nil, strings.Fields(line)...)
	return raft.Command{Data: backend.AppendOp(nil, backend.ConditionItem(after, 0, []string{key}), backend.Item{Cmd: cmd})}
}

func TestSequencerConditions(t *testing.T) {
	view := &fakeView{first: 10}
	for i := range 5 {
		e := raft.Entry{Position: raft.Position{Term: 1, Index: 10 + uint64(i)}}
		e.Commands = []raft.Command{{Data: testOp(0, 0, fmt.Sprint("INCR k", 10+i))}}
		view.entries = append(view.entries, e)
	}
	// A transaction that was not executed has touched nothing.
	view.entries = append(view.entries, raft.Entry{Position: raft.Position{Term: 1, Index: 15}, Commands: []raft.Command{{Data: backend.AppendOp(nil)}}})
	x := &fakeIndex{keys: map[int]map[string]int64{0: {"due": 100}}}
	q := NewSequencer(NewConfig(), x)
	q.ReadLog(view)
	cmds := []raft.Command{
		{Data: testOp(0, 0, "INCR early")},
		conditional(12, "k12", "INCR k12"),      // 1: at the index, not after it
		conditional(11, "k12", "INCR k12"),      // 2: after it
		conditional(14, "k12", "INCR x"),        // 3: command 1 touches it in this entry
		conditional(14, "early", "INCR x"),      // 4
		conditional(14, "late", "INCR x"),       // 5: what comes later does not count
		conditional(14, "due", "INCR x"),        // 6: deleted by the entry itself
		conditional(9, "nokey", "INCR x"),       // 7
		conditional(8, "nokey", "INCR x"),       // 8: the log does not reach back
		conditional(14, "x", "INCR y"),          // 9: touched by 5
		{Data: testOp(0, 0, "INCR late")},       // 10
		conditional(15, "late", "INCR x"),       // 11
		conditional(15, "y", "SET k12 v EX 10"), // 12: 9 was not executed
	}
	wantVoid := map[int]bool{2: true, 3: true, 4: true, 6: true, 8: true, 9: true, 11: true}
	before, _ := q.Sequence(100, cmds)
	if len(before) != 1 {
		t.Fatalf("%d ops before", len(before))
	}
	for i := range cmds {
		void := string(cmds[i].Data) == string(backend.AppendOp(nil))
		if void != wantVoid[i] {
			t.Errorf("command %d: void %v", i, void)
		}
	}
	// What is let through keeps its condition, for the case that it comes back.
	for range 2 {
		items, err := backend.DecodeOp(cmds[12].Data, nil)
		if err != nil || len(items) != 2 || items[0].Flags != backend.ItemCondition {
			t.Fatalf("%v %v", items, err)
		}
		q.Sequence(100, cmds[12:])
	}
	view.entries[5].Commands[0].Data = testOp(0, 0, "INCR y")
	again := []raft.Command{conditional(14, "y", "INCR z")}
	q.Sequence(100, again)
	if string(again[0].Data) != string(backend.AppendOp(nil)) {
		t.Error("a second call knows the log of the first")
	}
	looks := view.looks
	q.Sequence(100, []raft.Command{{Data: testOp(0, 0, "INCR k")}})
	if view.looks != looks || q.touched.active || q.touched.keys != nil {
		t.Error("an entry without conditions looked at the log")
	}
	// Without a view of the log nothing is known.
	q = NewSequencer(NewConfig(), &fakeIndex{})
	alone := []raft.Command{conditional(14, "y", "INCR z")}
	q.Sequence(100, alone)
	if string(alone[0].Data) != string(backend.AppendOp(nil)) {
		t.Error("a condition held without a log")
	}
}

// Who waits may be served in the entry before a transaction, and what is moved to then counts.
func TestSequencerConditionsAndWaiters(t *testing.T) {
	view := &fakeView{first: 10, entries: []raft.Entry{{Position: raft.Position{Term: 1, Index: 10}}}}
	view.waiting = [][]byte{testOp(0, 0, "BLMOVE from to LEFT RIGHT 0")}
	q := NewSequencer(NewConfig(), &fakeIndex{})
	q.ReadLog(view)
	push := raft.Command{Data: testOp(0, 0, "RPUSH other x")}
	for _, tc := range []struct {
		name string
		due  bool
		cmds []raft.Command
		void bool
	}{
		{"nothing comes before it", false, []raft.Command{conditional(10, "to", "INCR x")}, false},
		{"a command that may wake one comes before it", false, []raft.Command{push, conditional(10, "to", "INCR x")}, true},
		{"one is to be tried first", true, []raft.Command{conditional(10, "to", "INCR x")}, true},
		{"nobody waits for what is watched", true, []raft.Command{push, conditional(10, "third", "INCR x")}, false},
	} {
		view.due = tc.due
		q.Sequence(100, tc.cmds)
		last := tc.cmds[len(tc.cmds)-1].Data
		if void := string(last) == string(backend.AppendOp(nil)); void != tc.void {
			t.Errorf("%s: void %v", tc.name, void)
		}
	}
}

func TestSequencerConditionsAreBounded(t *testing.T) {
	view := &fakeView{first: 1, entries: []raft.Entry{{Position: raft.Position{Index: 1}}}}
	for range maxTouchedItems + 1 {
		view.entries[0].Commands = append(view.entries[0].Commands, raft.Command{Data: testOp(0, 0, "INCR k")})
	}
	q := NewSequencer(NewConfig(), &fakeIndex{})
	q.ReadLog(view)
	cmds := []raft.Command{conditional(0, "other", "INCR z")}
	q.Sequence(1, cmds)
	if string(cmds[0].Data) != string(backend.AppendOp(nil)) {
		t.Error("a condition held behind more than may be looked at")
	}
}

// Who waits may be served by what stands between two conditions of an entry.
func TestSequencerConditionsSeeWhoIsServedBetween(t *testing.T) {
	view := &fakeView{first: 10, entries: []raft.Entry{{Position: raft.Position{Term: 1, Index: 10}}}}
	view.waiting = [][]byte{testOp(0, 0, "BLMOVE from to LEFT RIGHT 0")}
	q := NewSequencer(NewConfig(), &fakeIndex{})
	q.ReadLog(view)
	cmds := []raft.Command{conditional(10, "third", "INCR x"), {Data: testOp(0, 0, "RPUSH from x")}, conditional(10, "to", "INCR y")}
	q.Sequence(100, cmds)
	if string(cmds[0].Data) == string(backend.AppendOp(nil)) {
		t.Error("the first condition does not hold")
	}
	if string(cmds[2].Data) != string(backend.AppendOp(nil)) {
		t.Error("the condition holds, though the client that waits may be served before")
	}
}

func TestConditionWakesNobody(t *testing.T) {
	q := NewSequencer(NewConfig(), &fakeIndex{})
	if wakes, all := q.Wakes(conditional(10, "third", "INCR x").Data, nil); all || len(wakes) > 0 {
		t.Errorf("wakes %v, all %v", wakes, all)
	}
	if wakes, _ := q.Wakes(conditional(10, "third", "RPUSH l x").Data, nil); len(wakes) != 1 || wakes[0].Sure {
		t.Errorf("wakes %v, want one that is not sure", wakes)
	}
}

func TestWatchEndsWithItsTransaction(t *testing.T) {
	p := startProxy(t)
	c, o := dial(t, p.addr), dial(t, p.addr)
	want(t, c.cmd("WATCH k"), replyOK)
	want(t, c.cmd("MULTI"), replyOK)
	c.cmd("EVAL return(1) 0")
	p.log.readFails = func() error { return raft.ErrNotDone }
	if got := c.cmd("EXEC"); got[0] != '-' {
		t.Fatalf("got %q", got)
	}
	p.log.readFails = nil
	want(t, o.cmd("SET k other"), replyOK)
	want(t, c.cmd("MULTI"), replyOK)
	c.cmd("SET z 1")
	want(t, c.cmd("EXEC"), "*1\r\n+OK\r\n")
}

func TestTransactionThatIsNotExecutedSetsNothing(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	before := c.cmd("CONFIG GET set-max-intset-entries")
	want(t, c.cmd("WATCH k"), replyOK)
	want(t, c.cmd("MULTI"), replyOK)
	c.cmd("CONFIG SET set-max-intset-entries 77")
	c.cmd("SET k 1")
	p.log.other = func() [][]byte { return [][]byte{testOp(0, 0, "INCR k")} }
	want(t, c.cmd("EXEC"), "*-1\r\n")
	p.log.other = nil
	want(t, c.cmd("CONFIG GET set-max-intset-entries"), before)
	want(t, c.cmd("MULTI"), replyOK)
	c.cmd("CONFIG SET set-max-intset-entries 77")
	c.cmd("CONFIG GET set-max-intset-entries")
	c.cmd("SET k 1")
	want(t, c.cmd("EXEC"), "*3\r\n+OK\r\n*2\r\n$22\r\nset-max-intset-entries\r\n$2\r\n77\r\n+OK\r\n")
}

func TestSkippedReplyOff(t *testing.T) {
	c := dial(t, startProxy(t).addr)
	c.send([]byte("CLIENT REPLY SKIP\r\nCLIENT REPLY OFF\r\nECHO a\r\nCLIENT REPLY ON\r\n"))
	want(t, c.reply(), replyOK)
	want(t, c.cmd("ECHO b"), "$1\r\nb\r\n")
}

func TestHelloInTransaction(t *testing.T) {
	plain := startRedis(t)
	p := startProxy(t)
	run := func(addr string) string {
		c := dial(t, addr)
		c.cmd("DEL s x")
		c.cmd("SADD s a")
		c.cmd("XADD x 1-1 f v")
		c.cmd("XGROUP CREATE x g 0")
		c.cmd("MULTI")
		c.cmd("SMEMBERS s")
		c.cmd("XREADGROUP GROUP g c STREAMS x >")
		c.cmd("HELLO 3 SETNAME n")
		c.cmd("XREADGROUP GROUP g c STREAMS x 0")
		reply := c.cmd("EXEC")
		head, _, _ := strings.Cut(reply, "$6\r\nserver")
		_, tail, _ := strings.Cut(reply, "modules\r\n")
		return head + "..." + tail
	}
	if got, want := run(p.addr), run(plain); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
