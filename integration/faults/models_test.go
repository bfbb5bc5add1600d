package faults

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/go-redis/redis/v8"
)

// op is one of a history written down by hand.
type op struct {
	in        input
	out       any
	call, ret int64
}

func get(out any, call, ret int64) op { return op{input{verb: "get"}, out, call, ret} }

func put(verb, value string, out any, call, ret int64) op {
	return op{input{verb: verb, value: value}, out, call, ret}
}

// never is when an operation of unknown outcome ends.
const never = 1000

// Each model accepts what one Redis could have answered, and finds the one thing that is wrong in the others.
func TestModels(t *testing.T) {
	send := input{verb: "transfer", from: 0, to: 1, amount: 5}
	for _, c := range []struct {
		name string
		kind kind
		ok   bool
		ops  []op
	}{
		{"register in order", register, true, []op{put("set", "a", nil, 0, 1), get("a", 2, 3), put("swap", "b", "a", 4, 5), get("b", 6, 7)}},
		{"stale read", register, false, []op{put("set", "a", nil, 0, 1), put("set", "b", nil, 2, 3), get("a", 4, 5)}},
		{"lost write", register, false, []op{put("set", "a", nil, 0, 1), get("", 2, 3)}},
		{"trace of what was not done", register, false, []op{get("a", 0, 1)}},
		{"unknown write comes later", register, true, []op{put("set", "a", nil, 0, never), get("", 2, 3), get("a", 4, 5)}},
		{"unknown write never comes", register, true, []op{put("set", "a", nil, 0, never), get("", 2, 3), get("", 4, 5)}},
		{"unknown write comes twice", register, false, []op{
			put("set", "a", nil, 0, never), get("a", 2, 3), put("set", "b", nil, 4, 5), get("a", 6, 7),
		}},
		{"executed write has come", register, false, []op{put("set", "a", nil, 0, 1), get("", 2, 3)}},
		{"swap sees the old value", register, false, []op{put("set", "a", nil, 0, 1), put("swap", "b", "", 2, 3)}},
		{"counter in order", counter, true, []op{put("incr", "", int64(1), 0, 1), put("incr", "", nil, 2, 3), get(int64(2), 4, 5)}},
		{"increment twice", counter, false, []op{put("incr", "", int64(1), 0, 1), get(int64(2), 2, 3)}},
		{"two increments answer the same", counter, false, []op{put("incr", "", int64(1), 0, 5), put("incr", "", int64(1), 0, 5)}},
		{"list in order", list, true, []op{put("append", "a", int64(1), 0, 1), put("append", "b", nil, 2, 3), get(elementsOf([]string{"a", "b"}), 4, 5)}},
		{"list in another order", list, false, []op{put("append", "a", int64(1), 0, 1), put("append", "b", int64(2), 2, 3), get(elementsOf([]string{"b", "a"}), 4, 5)}},
		{"element lost", list, false, []op{put("append", "a", int64(1), 0, 1), put("append", "b", int64(2), 2, 3), get(elementsOf([]string{"b"}), 4, 5)}},
		{"transfer", bank, true, []op{{send, [2]int64{-5, 5}, 0, 1}, get(balances{-5, 5}, 2, 3)}},
		{"half a transfer", bank, false, []op{{send, nil, 0, never}, get(balances{-5, 0}, 2, 3)}},
		{"lock runs out", lock, true, []op{put("lock", "a", true, 0, 1), get("a", 2, 3), put("lock", "b", true, 4, 5), get("b", 6, 7), get("", 8, 9)}},
		{"lock comes back", lock, false, []op{put("lock", "a", true, 0, 1), get("", 2, 3), get("a", 4, 5)}},
		{"a free lock is refused", lock, false, []op{get("", 0, 1), put("lock", "a", false, 2, 3)}},
		{"unknown lock", lock, true, []op{put("lock", "a", true, 0, 1), put("lock", "b", nil, 2, never), put("lock", "c", false, 4, 5), get("b", 6, 7)}},
	} {
		var ops []porcupine.Operation
		for i, o := range c.ops {
			ops = append(ops, porcupine.Operation{ClientId: i, Input: o.in, Output: o.out, Call: o.call, Return: o.ret})
		}
		if got := porcupine.CheckOperations(models[c.kind], ops); got != c.ok {
			t.Errorf("%s: accepted %v, want %v", c.name, got, c.ok)
		}
	}
}

func TestJudge(t *testing.T) {
	reply := func(text string) error { return fmt.Errorf("wrapped: %w", redisError(text)) }
	for _, c := range []struct {
		err  error
		want outcome
	}{
		{nil, answered},
		{redis.Nil, answered},
		{reply("TRYAGAIN nexus: not executed: no leader"), notDone},
		{reply("EXECABORT Transaction discarded because of previous errors."), notDone},
		{reply("UNKNOWNOUTCOME nexus: the command may or may not have been executed: x"), unknown},
		{reply("UNKNOWNOUTCOME nexus: the command was executed, but its reply was lost: x"), executed},
		{reply("ERR what is this"), wrong},
		{io.EOF, unknown},
	} {
		if got := judge(c.err); got != c.want {
			t.Errorf("judge(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

// redisError is an error reply as go-redis makes one.
type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

// A history keeps what an operation tells and nothing else.
func TestHistory(t *testing.T) {
	s := subject{list, "l"}
	h := newHistory([]subject{s})
	write := input{verb: "append", value: "a"}
	for _, c := range []struct {
		in    input
		err   error
		ended bool
		kept  int
	}{
		{write, nil, true, 1},
		{write, redisError("TRYAGAIN nexus: not executed: x"), true, 1},
		{write, redisError("UNKNOWNOUTCOME nexus: the command was executed, but its reply was lost: x"), true, 2},
		{write, io.EOF, false, 3},
		{input{verb: "get"}, io.EOF, true, 3},
	} {
		if ended := h.record(s, 1, c.in, int64(7), h.now(), c.err); ended != c.ended || len(h.ops[s]) != c.kept {
			t.Errorf("%v with %v: ended %v, %d kept, want %v, %d", c.in, c.err, ended, len(h.ops[s]), c.ended, c.kept)
		}
	}
	h.close()
	if last := h.ops[s][2]; last.Return < h.ops[s][1].Return || last.Output != nil {
		t.Errorf("an unknown write is kept as %+v", last)
	}
	if missing := h.missing(map[string]string{"0/l": `list deadline -1 value "b" "c"`}); len(missing) != 1 {
		t.Errorf("missing = %q", missing)
	}
	if h.record(s, 1, write, nil, 0, redisError("ERR x")); len(h.problems) != 1 {
		t.Errorf("problems = %q", h.problems)
	}
}

// The plan depends on seed and round only, and two faults at a time are of different groups.
func TestPlan(t *testing.T) {
	differ := false
	for round := range 200 {
		a, b := plan(7, round, allFaults()), plan(7, round, allFaults())
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("round %d has two plans:\n%v\n%v", round, a, b)
		}
		differ = differ || fmt.Sprint(a) != fmt.Sprint(plan(8, round, allFaults()))
		for _, x := range a {
			for _, y := range a {
				together := x.after < y.after+y.lasts && y.after < x.after+x.lasts
				if x.seed != y.seed && together && x.fault.group == y.fault.group {
					t.Errorf("round %d: %v and %v at a time", round, x, y)
				}
			}
			if x.after+x.lasts > 15*time.Second {
				t.Errorf("round %d: %v ends too late", round, x)
			}
		}
	}
	if !differ {
		t.Error("the seed changes nothing")
	}
	alone := allFaults()[:1]
	if steps := plan(7, 1, alone); len(steps) == 0 {
		t.Error("no plan of one fault alone")
	}
}
