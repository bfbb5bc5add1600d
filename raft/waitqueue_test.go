package raft

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// listRules are the rules of a store of lists: "push k v...", "pop k" takes from k, "pops 3 k" up to three, "move a b"
// takes from a and brings to b, "maybe k" brings an unknown number, "script" anything. "try:k" before a command makes it
// an attempt that takes from k. A reply to a command that has to wait is "nil".
type listRules struct{}

func (listRules) Sequence(int64, []Command) (before []Command, hold bool) { return nil, false }

func (listRules) Wants(cmd []byte) Wants {
	w := strings.Fields(string(cmd))
	switch w[0] {
	case "pops":
		n, _ := strconv.Atoi(w[1])
		return Wants{Topics: w[2:], Takes: n}
	case "move":
		return Wants{Topics: w[1:2], Takes: 1}
	}
	return Wants{Topics: w[1:], Takes: 1}
}

func (listRules) Wakes(cmd []byte, dst []Wake) ([]Wake, bool) {
	w := strings.Fields(string(cmd))
	switch w[0] {
	case "push":
		return append(dst, Wake{Topic: w[1], N: len(w) - 2, Sure: true}), false
	case "move":
		return append(dst, Wake{Topic: w[2], N: 1, Sure: true}), false
	case "maybe":
		return append(dst, Wake{Topic: w[1], N: Unlimited}), false
	case "script":
		return dst, true
	}
	return dst, false
}

func (listRules) Attempt(_ int64, cmd []byte, topics []string) []byte {
	if topics == nil {
		return cmd
	}
	return []byte("try:" + strings.Join(topics, ",") + " " + string(cmd))
}

func (listRules) Answer(_, reply []byte) ([]byte, bool) { return reply, string(reply) != "nil" }

// queueTest drives a waitQueue by lines: "1 pop k" is the arrival of waiter 1, "end 1" the end of it, "ok 1", "nil 1" and
// "err 1" the outcome of its attempt, anything else a command. It returns what an entry carries.
type queueTest struct {
	q    *waitQueue
	away map[*waitLink]bool
	link *waitLink
	// arrived is when waiters came to their node.
	arrived map[uint64]arrival
}

func newQueueTest() *queueTest {
	x := &queueTest{away: make(map[*waitLink]bool)}
	x.q = newWaitQueue(listRules{}, 100, new(atomic.Int64), func(l *waitLink) bool { return x.away[l] })
	return x
}

func (x *queueTest) entry(lines ...string) string {
	x.q.begin(1, nil)
	for _, line := range lines {
		first, rest, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(first)
		switch {
		case err == nil:
			x.q.arrive(waitID{1, uint64(n)}, []byte(rest), []byte(rest), x.link, x.arrived[uint64(n)])
		case first == "end":
			n, _ := strconv.Atoi(rest)
			x.q.end(waitID{1, uint64(n)}, x.link != nil)
		default:
			cmds := []Command{{Data: []byte(line)}}
			x.q.command(group{cmds: cmds}, cmds)
		}
	}
	var shown []string
	for _, g := range x.q.groups {
		name := ""
		if g.waits() {
			name = fmt.Sprint(g.id&^kindMask, " ")
		}
		shown = append(shown, name+string(g.cmds[0].Data))
	}
	x.q.commit()
	return strings.Join(shown, "; ")
}

func (x *queueTest) land(t *testing.T, outcomes ...string) {
	t.Helper()
	for _, o := range outcomes {
		var id uint64
		var reply string
		if _, err := fmt.Sscan(o, &reply, &id); err != nil {
			t.Fatal(err)
		}
		r := Reply{Data: []byte(reply)}
		switch reply {
		case "err":
			r.Data = []byte("-ERR")
		case "lost":
			r = Reply{Err: ErrReplyLost}
		}
		x.q.landed(waitID{1, id}, r)
	}
}

func TestWaitQueue(t *testing.T) {
	// Each step is what lands, what comes, and the entry that is to be made of it.
	type step struct {
		land  []string
		lines []string
		want  string
	}
	on := func(s ...string) []string { return s }
	parked := step{nil, on("1 pop k", "2 pop k", "3 pop k"), "1 pop k; 2 pop k; 3 pop k"}
	nils := on("nil 1", "nil 2", "nil 3")
	for name, steps := range map[string][]step{
		"first come, first served": {parked, {nils, on("push k a b"), "push k a b; 1 try:k pop k; 2 try:k pop k"}},
		"pushes in flight serve those behind": {
			parked,
			{nils, on("push k a"), "push k a; 1 try:k pop k"},
			{nil, on("push k b", "push k c"), "push k b; 2 try:k pop k; push k c; 3 try:k pop k"},
			{on("ok 1", "ok 2", "ok 3"), nil, ""},
		},
		"a push meets an attempt of unknown outcome": {
			{nil, on("1 pop k"), "1 pop k"},
			{nil, on("push k a"), "push k a"},
			{nil, on("2 pop k"), ""}, // not before 1
			{on("nil 1"), nil, "1 try:k pop k; 2 pop k"},
			{on("ok 1", "nil 2"), nil, ""},
		},
		"served at once": {
			{nil, on("1 pop k"), "1 pop k"},
			{on("ok 1"), on("push k a"), "push k a"},
		},
		"a push that failed": {
			parked,
			{nils, on("push k a"), "push k a; 1 try:k pop k"},
			{on("nil 1"), on("push k b"), "push k b; 1 try:k pop k"},
		},
		"an attempt that failed leaves it to the next": {
			parked,
			{nils, on("push k a"), "push k a; 1 try:k pop k"},
			{on("err 1"), nil, "2 try:k pop k"},
		},
		"chain": {
			{nil, on("1 move a b", "2 move b c", "3 pop c"), "1 move a b; 2 move b c; 3 pop c"},
			{nils, on("push a x"), "push a x; 1 try:a move a b; 2 try:b move b c; 3 try:c pop c"},
		},
		"circle": {
			{nil, on("1 move a b", "2 move b a"), "1 move a b; 2 move b a"},
			{on("nil 1", "nil 2"), nil, ""},
			{nil, on("push a x"), "push a x; 1 try:a move a b; 2 try:b move b a"},
		},
		"served at once, with one waiting for what it brings": {
			{nil, on("1 pop b"), "1 pop b"},
			{on("nil 1"), on("2 move a b"), "2 move a b; 1 try:b pop b"},
			{on("ok 2", "ok 1"), nil, ""},
		},
		"brings to one whose attempt flies": {
			{nil, on("1 pop b", "2 move a b"), "1 pop b; 2 move a b"},
			{on("nil 1", "ok 2"), nil, "1 try:b pop b"},
			{on("ok 1"), nil, ""},
		},
		"several things for one": {
			{nil, on("1 pops 2 k", "2 pop k", "3 pop k"), "1 pops 2 k; 2 pop k; 3 pop k"},
			{nils, on("push k a b c"), "push k a b c; 1 try:k pops 2 k; 2 try:k pop k"},
		},
		"an unknown number for all": {parked, {nils, on("maybe k"), "maybe k; 1 try:k pop k; 2 try:k pop k; 3 try:k pop k"}},
		"a script":                  {{nil, on("1 pop j k"), "1 pop j k"}, {on("nil 1"), on("script"), "script; 1 try:j,k pop j k"}},
		"ended while it waits":      {parked, {nils, on("end 1", "push k a"), "push k a; 2 try:k pop k"}},
		"ended while it flies": {
			{nil, on("1 pop k"), "1 pop k"},
			{nil, on("end 1", "push k a"), "push k a"},
			{on("nil 1"), nil, ""},
			{nil, on("2 pop k"), "2 pop k"},
		},
		"several topics": {
			{nil, on("1 pop j k", "2 pop k"), "1 pop j k; 2 pop k"},
			{on("nil 1", "nil 2"), on("push k a", "push j b", "push k c"), "push k a; 1 try:k pop j k; push j b; push k c; 2 try:k pop k"},
		},
		"reply lost": {parked, {on("nil 1", "nil 2", "nil 3"), on("push k a"), "push k a; 1 try:k pop k"},
			{on("lost 1"), nil, "2 try:k pop k"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := newQueueTest()
			for i, s := range steps {
				x.land(t, s.land...)
				if got := x.entry(s.lines...); got != s.want {
					t.Fatalf("step %d:\n got %q\nwant %q", i, got, s.want)
				}
			}
		})
	}
}

// Nothing is taken for clients of a node that is not heard, and it is tried again when it is.
func TestWaitQueueAbsentNode(t *testing.T) {
	x := newQueueTest()
	x.link = &waitLink{origin: 1}
	x.entry("1 pop k")
	x.land(t, "nil 1")
	x.away[x.link] = true
	if got := x.entry("push k a"); got != "push k a" {
		t.Errorf("absent: %q", got)
	}
	x.q.tick()
	if got := x.entry(); got != "" || x.q.isDue() {
		t.Errorf("still absent: %q", got)
	}
	x.away[x.link] = false
	x.q.tick()
	if !x.q.isDue() {
		t.Error("nothing is due")
	}
	if got := x.entry(); got != "1 try:k pop k" {
		t.Errorf("back: %q", got)
	}
	x.land(t, "nil 1")
	x.q.leave(x.link)
	if got := x.entry("push k a"); got != "push k a" || !x.q.empty() || x.q.bytes.Load() != 0 {
		t.Errorf("gone: %q, %d bytes", got, x.q.bytes.Load())
	}
}

// The end of a wait may overtake its beginning on the way from another node.
func TestWaitQueueEndComesFirst(t *testing.T) {
	x := newQueueTest()
	x.link = &waitLink{origin: 1}
	if got := x.entry("end 1", "1 pop k", "push k a"); got != "push k a" || !x.q.empty() {
		t.Errorf("got %q", got)
	}
}

// An entry that was not proposed is made again of the same.
func TestWaitQueueEndComesFirstTwice(t *testing.T) {
	x := newQueueTest()
	x.link = &waitLink{origin: 1}
	x.entry("end 1")
	x.q.begin(1, nil)
	x.q.arrive(waitID{1, 1}, []byte("pop k"), []byte("pop k"), x.link, 0)
	x.q.rollback()
	if got := x.entry("1 pop k", "push k a"); got != "push k a" || !x.q.empty() || len(x.q.early) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestWaitQueueWakesAllInOrder(t *testing.T) {
	for range 50 {
		x := newQueueTest()
		x.entry("1 pop y x", "2 pop x", "3 pop z")
		x.land(t, "nil 1", "nil 2", "nil 3")
		if got := x.entry("script"); got != "script; 1 try:y,x pop y x; 2 try:x pop x; 3 try:z pop z" {
			t.Fatalf("got %q", got)
		}
	}
}

func TestWaitQueueRollback(t *testing.T) {
	x := newQueueTest()
	x.entry("1 pop k")
	x.land(t, "nil 1")
	x.q.begin(1, nil)
	push := []Command{{Data: []byte("push k a")}}
	x.q.command(group{cmds: push}, push)
	x.q.arrive(waitID{1, 2}, []byte("pop k"), []byte("pop k"), nil, 0)
	x.q.rollback()
	if len(x.q.byID) != 1 {
		t.Errorf("%d wait", len(x.q.byID))
	}
	// The entry is made again, after an attempt that does no harm.
	if got := x.entry("push k a", "2 pop k"); got != "1 try:k pop k; push k a" {
		t.Errorf("got %q", got)
	}
}

// An entry takes so many attempts; the next ones take the rest.
func TestWaitQueueRoom(t *testing.T) {
	for _, line := range []string{"maybe k", "script", "push k a b c"} {
		x := newQueueTest()
		x.entry("1 pop k", "2 pop k", "3 pop k")
		x.land(t, "nil 1", "nil 2", "nil 3")
		x.q.room = 2
		if got := x.entry(line); got != line+"; 1 try:k pop k; 2 try:k pop k" || !x.q.isDue() {
			t.Errorf("%s: %q", line, got)
		}
		x.land(t, "nil 1", "nil 2")
		if got := x.entry(); got != "3 try:k pop k" || x.q.isDue() {
			t.Errorf("%s, next: %q", line, got)
		}
	}
}
