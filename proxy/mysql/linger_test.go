package mysql

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// commitsAfter lets transactions commit, each so long after the test began, and each begun so long before; it returns how many went in each
// proposal, and how long each waited.
func commitsAfter(t *testing.T, inside int, commits ...[2]time.Duration) (sizes []int, waited []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g, e := newGroup()
		g.inside = func() int { return inside }
		waited = make([]time.Duration, len(commits))
		var ended sync.WaitGroup
		for i, c := range commits {
			ended.Go(func() {
				time.Sleep(c[0])
				now := time.Now()
				var begun time.Time
				if c[1] > 0 {
					begun = now.Add(-c[1])
				}
				if _, err := g.commit(context.Background(), g.expect(begun), [][]byte{fmt.Append(nil, i)}); err != nil {
					t.Error(err)
				}
				waited[i] = time.Since(now)
			})
		}
		ended.Wait()
		for _, p := range e.proposals {
			sizes = append(sizes, len(p))
		}
	})
	return sizes, waited
}

// In a crowd of transactions each commit waits for whoever may come, for a sixteenth of what its own transaction has taken.
func TestCommitsLinger(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name    string
		inside  int
		commits [][2]time.Duration // when, and begun how long before
		sizes   string
		waited  string
	}{
		{"one in a crowd", crowd, [][2]time.Duration{{0, 64 * ms}}, "[1]", "[4ms]"},
		{"for no longer than mostPatience", crowd, [][2]time.Duration{{0, time.Hour}}, "[1]", "[8ms]"},
		{"another one comes in time", crowd, [][2]time.Duration{{0, 64 * ms}, {3 * ms, 64 * ms}}, "[2]", "[4ms 1ms]"},
		{"another one comes too late", crowd, [][2]time.Duration{{0, 64 * ms}, {5 * ms, 64 * ms}}, "[1 1]", "[4ms 4ms]"},
		{"a short one ends it", crowd, [][2]time.Duration{{0, 64 * ms}, {1 * ms, 16 * ms}}, "[2]", "[2ms 1ms]"},
		{"a single statement ends it", crowd, [][2]time.Duration{{0, 64 * ms}, {3 * ms, 0}}, "[2]", "[3ms 0s]"},
		{"few are there", crowd - 1, [][2]time.Duration{{0, 64 * ms}}, "[1]", "[0s]"},
	} {
		sizes, waited := commitsAfter(t, test.inside, test.commits...)
		if fmt.Sprint(sizes) != test.sizes || fmt.Sprint(waited) != test.waited {
			t.Errorf("%s: proposals of %v commits, after %v, want %s and %s", test.name, sizes, waited, test.sizes, test.waited)
		}
	}
}

// Enough of them wait for nobody.
func TestEnoughDoNotLinger(t *testing.T) {
	commits := make([][2]time.Duration, enough)
	for i := range commits {
		commits[i] = [2]time.Duration{time.Millisecond, time.Hour}
	}
	sizes, waited := commitsAfter(t, enough, commits...)
	if fmt.Sprint(sizes) != fmt.Sprint([]int{enough}) || waited[0] != 0 {
		t.Errorf("proposals of %v commits, after %v", sizes, waited[0])
	}
}

// Who is on the way when the time to linger is over is waited for as ever.
func TestLingeringAwaitsWhoIsComing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, e := newGroup()
		g.inside = func() int { return crowd }
		g.patience = 4 * time.Millisecond
		begun := time.Now()
		time.Sleep(16 * time.Millisecond)
		var first sync.WaitGroup
		first.Go(func() {
			if _, err := g.commit(context.Background(), g.expect(begun), [][]byte{{1}}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		coming := g.expect(begun) // the other one is done in 1 ms, this one in 3
		time.Sleep(3 * time.Millisecond)
		if _, err := g.commit(context.Background(), coming, [][]byte{{2}}); err != nil {
			t.Error(err)
		}
		first.Wait()
		if len(e.proposals) != 1 {
			t.Errorf("%d proposals", len(e.proposals))
		}
	})
}
