package redis

import (
	"fmt"
	"testing"
)

func TestConditionItem(t *testing.T) {
	it := ConditionItem(1<<63, 4, []string{"a", "", "b\r\n"})
	index, keys, err := ParseCondition(it, nil)
	if err != nil || index != 1<<63 || it.DB != 4 || fmt.Sprintf("%q", keys) != `["a" "" "b\r\n"]` {
		t.Errorf("%d %q %v", index, keys, err)
	}
	for _, bad := range []Item{
		{}, {Flags: ItemCondition}, {Cmd: it.Cmd}, {Flags: ItemCondition, Cmd: command("SET", "1", "a")},
		{Flags: ItemCondition, Cmd: command(conditionWord)}, {Flags: ItemCondition, Cmd: command(conditionWord, "-1", "a")},
	} {
		if _, _, err := ParseCondition(bad, nil); err == nil {
			t.Errorf("%q: no error", bad.Cmd)
		}
	}
}

// A condition never reaches the backend, and an op without other items has an empty reply.
func TestConditionIsNotExecuted(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	guarded := op("INCR", "n")
	guarded.Data = AppendOp(nil, ConditionItem(7, 0, []string{"n"}), Item{Cmd: command("INCR", "n")})
	void := op("INCR", "n")
	void.Data = AppendOp(nil)
	e := entry(1, guarded, void, op("INCR", "n"))
	mustApply(t, b, e)
	for i, want := range []string{":1\r\n", "", ":2\r\n"} {
		if c := e.Commands[i]; string(c.Reply) != want || c.Reply == nil || c.Err != nil {
			t.Errorf("command %d: %q %v, want %q", i, c.Reply, c.Err, want)
		}
	}
}
