package node

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// folded returns what is written of what log says, without times.
func folded(t *testing.T, level slog.Level, say func(log *slog.Logger)) []string {
	t.Helper()
	var out bytes.Buffer
	f := newFold(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
	say(slog.New(f))
	f.close()
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFoldRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := folded(t, slog.LevelInfo, func(log *slog.Logger) {
			for range 1000 {
				log.Warn("no leader", "term", 3)
				time.Sleep(26 * time.Millisecond) // 26 s in all
			}
		})
		wantLines(t, got, `msg="no leader" term=3`, `msg="no leader (repeated 384 times)" term=3`, `msg="no leader (repeated 385 times)" term=3`,
			`msg="no leader (repeated 230 times)" term=3`)
	})
}

// Lines that differ are written, but not without end; the last one always is.
func TestFoldBoundsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := folded(t, slog.LevelInfo, func(log *slog.Logger) {
			for i := range 100 {
				log.Warn("slow command", "took", i)
				time.Sleep(time.Millisecond)
			}
			time.Sleep(foldEvery)
			log.Warn("slow command", "took", 100)
		})
		var want []string
		for i := range foldLines {
			want = append(want, fmt.Sprintf(`msg="slow command" took=%d`, i))
		}
		wantLines(t, got, append(want, `msg="slow command (repeated 80 times)" took=99`, `msg="slow command" took=100`)...)
	})
}

// Nothing else is held up: other messages, other parts and levels, what comes seldom, and level debug.
func TestFoldLeavesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := folded(t, slog.LevelDebug, func(log *slog.Logger) {
			log.Info("a", "n", 1)
			log.With("part", "raft").Info("a", "n", 1)
			log.WithGroup("g").Info("a", "n", 1)
			log.Warn("a", "n", 1)
			log.Info("b", "n", 1)
			log.Debug("c")
			log.Debug("c")
			time.Sleep(foldEvery + 1)
			log.Info("a", "n", 1)
		})
		wantLines(t, got, "msg=a n=1", "msg=a part=raft n=1", "msg=a g.n=1", "msg=a n=1", "msg=b n=1", "msg=c", "msg=c", "msg=a n=1")
	})
}

// One repeat is written as it is, with the time at which it came; and whatever was held back is written at the end.
func TestFoldClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log *slog.Logger
		got := folded(t, slog.LevelInfo, func(l *slog.Logger) {
			log = l
			log.Info("once more")
			log.Info("once more")
		})
		wantLines(t, got, `msg="once more"`, `msg="once more"`)
		log.Info("after the end") // goes nowhere, but must not be kept for ever
		time.Sleep(2 * foldEvery)
	})
}

// A flood of messages that are all different takes no memory.
func TestFoldMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := folded(t, slog.LevelInfo, func(log *slog.Logger) {
			for i := range 2 * foldMessages {
				log.Info(fmt.Sprint("message ", i))
			}
			if n := followed(log); n != foldMessages {
				t.Errorf("%d messages are followed", n)
			}
			time.Sleep(foldEvery + 1)
			if n := followed(log); n != 0 {
				t.Errorf("%d messages are not forgotten", n)
			}
		})
		if len(got) != 2*foldMessages {
			t.Errorf("%d lines are written", len(got))
		}
	})
}

func followed(log *slog.Logger) int {
	s := log.Handler().(*fold).state
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages)
}
