package redis

import (
	"fmt"
	"strings"
	"testing"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/raft"
)

// fakeIndex is a DeadlineIndex that holds what a test puts there.
type fakeIndex struct {
	keys map[int]map[string]int64
	pend []string
}

func (x *fakeIndex) NextDue() (next int64, ok bool) {
	for _, db := range x.keys {
		for _, at := range db {
			if !ok || at < next {
				next, ok = at, true
			}
		}
	}
	return next, ok
}

func (x *fakeIndex) Due(now int64, most int) (due []backend.DueKey) {
	for db, keys := range x.keys {
		for k, at := range keys {
			if at <= now && len(due) < most {
				due = append(due, backend.DueKey{DB: db, Key: k, Deadline: at})
			}
		}
	}
	return due
}

func (x *fakeIndex) Deadline(db int, key []byte) (int64, bool) {
	at, ok := x.keys[db][string(key)]
	return at, ok
}

func (x *fakeIndex) Pend(db int, key string, at int64) {
	x.pend = append(x.pend, fmt.Sprintf("%d/%s@%d", db, key, at))
}

func testOp(db int, flags backend.ItemFlags, line string) []byte {
	cmd := appendRequest(nil, strings.Fields(line)...)
	return backend.AppendOp(nil, backend.Item{DB: db, Flags: flags, Cmd: cmd})
}

// showOp is an op as "db:flags command".
func showOp(t *testing.T, data []byte) string {
	t.Helper()
	items, err := backend.DecodeOp(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, it := range items {
		args, err := backend.ParseCommand(it.Cmd, nil)
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, a := range args {
			words = append(words, string(a))
		}
		if it.Flags&backend.ItemExpire != 0 {
			words[1] = "<script>"
		}
		out = append(out, fmt.Sprintf("%d:%d %s", it.DB, it.Flags, strings.Join(words, " ")))
	}
	return strings.Join(out, "; ")
}

func TestSequencerRewrites(t *testing.T) {
	const stamp = 1_000_000
	shifted := func(at int64) string { return fmt.Sprint(at + backend.ShiftMillis) }
	both := backend.ItemTime | backend.ItemDeadline
	for _, tc := range []struct {
		flags       backend.ItemFlags
		line        string
		want, pends string
	}{
		{0, "INCR k", "2:0 INCR k", ""},
		{both, "SET k v EX 10", "2:2 SET k v PXAT " + shifted(1_010_000), "2/k@1010000"},
		{both, "setex k 10 v", "2:2 SET k v PXAT " + shifted(1_010_000), "2/k@1010000"},
		{both, "EXPIRE k -1", "2:2 PEXPIREAT k 1", ""},
		{both, "GETEX k PX 7 ", "2:2 GETEX k PXAT " + shifted(1_000_007), "2/k@1000007"},
		{backend.ItemDeadline, "RENAME src dst", "2:2 RENAME src dst", "2/dst@1500000"},
		{backend.ItemDeadline, "COPY src dst DB 5", "2:2 COPY src dst DB 5", "5/dst@1500000"},
		{backend.ItemDeadline, "MOVE src 3", "2:2 MOVE src 3", "3/src@1500000"},
		{backend.ItemDeadline, "RENAME other dst", "2:2 RENAME other dst", ""},
		{both, "EXPIRE k 9223372036854775", "2:0 EVAL return redis.error_reply(ARGV[1]) 0 ERR invalid expire time in 'expire' command", ""},
	} {
		x := &fakeIndex{keys: map[int]map[string]int64{2: {"src": 1_500_000}}}
		q := NewSequencer(NewConfig(), x)
		cmds := []raft.Command{{Data: testOp(2, tc.flags, tc.line)}}
		before, hold := q.Sequence(stamp, cmds)
		if len(before) != 0 || hold {
			t.Errorf("%s: before %v, hold %v", tc.line, before, hold)
		}
		want(t, showOp(t, cmds[0].Data), tc.want)
		want(t, strings.Join(x.pend, " "), tc.pends)
	}
}

func TestSequencerExpires(t *testing.T) {
	x := &fakeIndex{keys: map[int]map[string]int64{0: {"b": 10, "a": 20, "later": 21}, 4: {"c": 5}}}
	q := NewSequencer(NewConfig(), x)
	if before, hold := q.Sequence(4, nil); len(before) != 0 || hold {
		t.Errorf("nothing is due, got %d ops, hold %v", len(before), hold)
	}
	before, hold := q.Sequence(20, nil)
	if hold || len(before) != 2 {
		t.Fatalf("got %d ops, hold %v", len(before), hold)
	}
	now := fmt.Sprint(20 + backend.ShiftMillis)
	want(t, showOp(t, before[0].Data), "0:4 EVAL <script> 2 a b "+now)
	want(t, showOp(t, before[1].Data), "4:4 EVAL <script> 1 c "+now)
	// A SWAPDB that is not applied yet: the keys may be in either database.
	q.Sequence(4, []raft.Command{{Data: testOp(0, backend.ItemDeadline, "SWAPDB 4 6")}})
	before, _ = q.Sequence(5, nil)
	if len(before) != 2 {
		t.Fatalf("got %d ops after SWAPDB", len(before))
	}
	want(t, showOp(t, before[1].Data), "6:4 EVAL <script> 1 c "+fmt.Sprint(5+backend.ShiftMillis))
	if before, _ = q.Sequence(5+swapMemory, nil); len(before) != 2 {
		t.Errorf("got %d ops long after SWAPDB", len(before))
	}
}

func TestSequencerHolds(t *testing.T) {
	keys := map[string]int64{}
	for i := range maxExpire + 1 {
		keys[fmt.Sprint(i)] = 1
	}
	q := NewSequencer(NewConfig(), &fakeIndex{keys: map[int]map[string]int64{0: keys}})
	data := testOp(0, backend.ItemTime, "SET k v EX 1")
	cmds := []raft.Command{{Data: data}}
	before, hold := q.Sequence(5, cmds)
	if !hold || len(before) != 1 || string(cmds[0].Data) != string(data) {
		t.Errorf("hold %v, %d ops", hold, len(before))
	}
}

// What a node does not understand must not reach the log, where it would stop all of them.
func TestSequencerReplacesWhatItDoesNotUnderstand(t *testing.T) {
	q := NewSequencer(NewConfig(), &fakeIndex{})
	for _, data := range [][]byte{nil, {99, 1, 2}, {1, 1, 0, 0, 50, 'x'}} {
		cmds := []raft.Command{{Data: data}}
		q.Sequence(1, cmds)
		if got := showOp(t, cmds[0].Data); !strings.Contains(got, "error_reply") {
			t.Errorf("%v: %q", data, got)
		}
	}
}

func TestErrorItemAnswersItsText(t *testing.T) {
	c := dial(t, startRedis(t))
	text := "ERR invalid expire time in 'expire' command"
	c.send(errorItem(0, text).Cmd)
	want(t, c.reply(), "-"+text+"\r\n")
}
