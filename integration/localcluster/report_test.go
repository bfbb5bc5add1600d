package main

import (
	"strings"
	"testing"
	"time"
)

func TestLastWords(t *testing.T) {
	for _, test := range []struct{ name, output, want string }{
		{"nothing", "", ""},
		{"no alarm", "level=INFO msg=starting\nlevel=INFO msg=running\n", "level=INFO msg=running"},
		{"the alarm is not last", "level=INFO msg=a\nlevel=ERROR msg=\"node stops\"\nredis_repl: no space left\nlevel=INFO msg=closed\n",
			"level=ERROR msg=\"node stops\"\n  redis_repl: no space left"},
		{"the last three", "level=WARN msg=1\nlevel=WARN msg=2\nlevel=WARN msg=3\nlevel=WARN msg=4\n", "level=WARN msg=2\n  level=WARN msg=3\n  level=WARN msg=4"},
		{"redis-server", "1:M 01 Jan 2026 * Ready\n1:M 01 Jan 2026 # Could not bind\n1:M 01 Jan 2026 * bye\n", "1:M 01 Jan 2026 # Could not bind"},
	} {
		if got := lastWords(test.output); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestSilence(t *testing.T) {
	var s silence
	begin := time.Unix(1000, 0)
	var told []int
	for second := range 120 {
		if s.look(true, begin.Add(time.Duration(second)*time.Second)) == tellWaiting {
			told = append(told, second)
		}
	}
	if len(told) != 4 || told[0] != 5 || told[1] != 15 || told[2] != 35 || told[3] != 75 {
		t.Errorf("told after %v s", told)
	}
	if s.look(false, begin) != tellServing || s.look(false, begin) != tellNothing {
		t.Error("the end is not told once")
	}
	if s.look(true, begin) != tellNothing {
		t.Error("told at once")
	}
}

func TestWaitingTable(t *testing.T) {
	got := waitingTable([]waitingRow{{"node-2", "backend: connection refused", "data/node-2.log"}})
	for _, want := range []string{"Not serving at ", "NODE    WAITS FOR                    LOG\n", "node-2  backend: connection refused  data/node-2.log\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}
