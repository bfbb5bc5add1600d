package redis

import (
	"fmt"
	"strings"
	"testing"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/raft"
)

func TestSequencerAttempts(t *testing.T) {
	q := NewSequencer(NewConfig(), &fakeIndex{})
	for _, tc := range []struct{ line, topics, want string }{
		{"BLPOP a b 0", "", "2:0 BLPOP a b 0"},
		{"BLPOP a b 0", "l2:b", "2:0 TYPE b; 2:0 BLPOP b 0"},
		{"BLPOP a b 0", "l2:a l2:b", "2:0 TYPE a; 2:0 TYPE b; 2:0 BLPOP a b 0"},
		{"BLMOVE a:x b LEFT RIGHT 0", "l2:a:x", "2:0 TYPE a:x; 2:0 BLMOVE a:x b LEFT RIGHT 0"},
		{"BZMPOP 0 2 a b MIN COUNT 3", "z2:b", "2:0 TYPE b; 2:0 BZMPOP 0 1 b MIN COUNT 3"},
		{"XREADGROUP GROUP g c COUNT 2 STREAMS a b > >", "g2:b", "2:0 TYPE b; 2:0 XREADGROUP GROUP g c COUNT 2 STREAMS b >"},
	} {
		var topics []string
		if tc.topics != "" {
			topics = strings.Fields(tc.topics)
		}
		want(t, showOp(t, q.Attempt(1, testOp(2, 0, tc.line), topics)), tc.want)
	}
}

func TestSequencerWantsAndWakes(t *testing.T) {
	q := NewSequencer(NewConfig(), &fakeIndex{})
	for line, want := range map[string]string{
		"BLPOP a b a 0":                        "l2:a,l2:b takes 1",
		"BZMPOP 0 1 a MIN COUNT 3":             "z2:a takes 3",
		"XREADGROUP GROUP g c STREAMS a b > >": "g2:a,g2:b takes 0",
	} {
		w := q.Wants(testOp(2, 0, line))
		if got := fmt.Sprintf("%s takes %d", strings.Join(w.Topics, ","), w.Takes); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	if wakes, all := q.Wakes(testOp(0, 0, "SET k v"), nil); len(wakes) != 1 || all {
		t.Errorf("SET: %v, %v", wakes, all)
	}
	for line, want := range map[string]string{
		"RPUSH k a b": "[{l2:k 2 true}] false",
		"MOVE k 3":    fmt.Sprintf("[{g2:k %[1]d false} {l3:k %[1]d false} {z3:k %[1]d false} {s3:k %[1]d false} {g3:k %[1]d false}] false", raft.Unlimited),
		"FCALL x 0":   "[] true",
		"GET k":       "[] false",
	} {
		wakes, all := q.Wakes(testOp(2, 0, line), nil)
		if got := fmt.Sprint(wakes, all); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	// In a transaction what is pushed may be gone again.
	op := backend.AppendOp(nil,
		backend.Item{DB: 1, Cmd: appendRequest(nil, "RPUSH", "k", "a")}, backend.Item{DB: 1, Cmd: appendRequest(nil, "DEL", "k")})
	wakes, all := q.Wakes(op, nil)
	want(t, fmt.Sprint(wakes, all), fmt.Sprintf("[{l1:k 1 false} {g1:k %d false}] false", raft.Unlimited))
	// The deletion of due keys.
	wakes, all = q.Wakes(backend.AppendOp(nil, backend.ExpireItem(5, 3, []string{"k"})), nil)
	want(t, fmt.Sprint(wakes, all), fmt.Sprintf("[{g3:k %d false}] false", raft.Unlimited))
}

func TestSequencerAnswers(t *testing.T) {
	q := NewSequencer(NewConfig(), &fakeIndex{})
	const wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
	for _, tc := range []struct{ line, reply, want string }{
		{"BLPOP k 0", "*-1\r\n", ""},
		{"BLMOVE a b LEFT LEFT 0", "$-1\r\n", ""},
		{"BLPOP k 0", "_\r\n", ""},
		{"BLPOP k 0", wrong, wrong},
		{"BLPOP k 0", "*2\r\n$1\r\nk\r\n$1\r\na\r\n", "*2\r\n$1\r\nk\r\n$1\r\na\r\n"},
		{"BLPOP k 0", "+list\r\n*2\r\n$1\r\nk\r\n$1\r\na\r\n", "*2\r\n$1\r\nk\r\n$1\r\na\r\n"},
		{"BLPOP k 0", "+none\r\n*-1\r\n", ""},
		{"BLPOP k 0", "+zset\r\n" + wrong, ""},
		{"BLMOVE a b LEFT LEFT 0", "+string\r\n" + wrong, ""},
		{"BLMOVE a b LEFT LEFT 0", "+list\r\n" + wrong, wrong},
		{"XREADGROUP GROUP g c STREAMS k >", "+stream\r\n*-1\r\n", ""},
		{"XREADGROUP GROUP g c STREAMS k >", "+stream\r\n-NOGROUP x\r\n", "-NOGROUP x\r\n"},
		{"XREADGROUP GROUP g c STREAMS k >", "+none\r\n-NOGROUP x\r\n", replyUnblock},
		{"XREADGROUP GROUP g c STREAMS k >", "+string\r\n" + wrong, replyUnblock},
	} {
		answer, served := q.Answer(testOp(0, 0, tc.line), []byte(tc.reply))
		if string(answer) != tc.want || served != (tc.want != "") {
			t.Errorf("%s, %q: %q, %v", tc.line, tc.reply, answer, served)
		}
	}
}

// BenchmarkWakes is what each write costs on a leader while somebody waits.
func BenchmarkWakes(b *testing.B) {
	q := NewSequencer(NewConfig(), &fakeIndex{})
	for _, line := range []string{"SET key value", "RPUSH key value"} {
		op := testOp(0, 0, line)
		b.Run(line[:4], func(b *testing.B) {
			b.ReportAllocs()
			var wakes []raft.Wake
			for b.Loop() {
				wakes, _ = q.Wakes(op, wakes[:0])
			}
		})
	}
}
