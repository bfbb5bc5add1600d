package mysql

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// flights are proposals that have their outcome when the test says so.
type flights struct {
	begun   chan int // how many commands they have
	outcome chan struct{}
}

func newFlights() (*commitGroup, *flights) {
	f := &flights{begun: make(chan int, 100), outcome: make(chan struct{})}
	return &commitGroup{patience: time.Minute, propose: func(_ context.Context, commands [][]byte) (raft.Outcome, error) {
		f.begun <- len(commands)
		<-f.outcome
		return raft.Outcome{Replies: make([]raft.Reply, len(commands))}, nil
	}}, f
}

// commitMany lets n transactions commit, and returns when all have come, with a function that waits for their ends.
func commitMany(t *testing.T, g *commitGroup, n int) (wait func()) {
	t.Helper()
	g.mu.Lock()
	before := g.reunion.away
	if g.open != nil {
		before += g.open.members
	}
	g.mu.Unlock()
	announced := make([]announcement, n)
	for i := range announced {
		announced[i] = g.expect()
	}
	var ends sync.WaitGroup
	errs := make([]error, n)
	for i := range announced {
		ends.Go(func() { _, errs[i] = g.commit(context.Background(), announced[i], [][]byte{fmt.Append(nil, i)}) })
	}
	for limit := time.Now().Add(40 * time.Second); ; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		come := g.reunion.away
		if g.open != nil {
			come += g.open.members
		}
		g.mu.Unlock()
		if come == before+n {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("%d commits have come, want %d", come, before+n)
		}
	}
	return func() {
		ends.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
	}
}

// Two halves of a crowd that take turns become one group.
func TestCrowdReunites(t *testing.T) {
	g, f := newFlights()
	first := commitMany(t, g, crowd/2)
	if n := <-f.begun; n != crowd/2 {
		t.Fatalf("%d commits in the first proposal, want %d", n, crowd/2)
	}
	second := commitMany(t, g, crowd/2)
	if n := len(f.begun); n > 0 {
		t.Fatal("the second half did not wait for the first one")
	}
	f.outcome <- struct{}{}
	first()
	again := commitMany(t, g, crowd/2)
	if n := <-f.begun; n != crowd {
		t.Errorf("%d commits in the second proposal, want %d", n, crowd)
	}
	f.outcome <- struct{}{}
	second()
	again()
}

// Fewer than a crowd do not wait for a proposal that is on its way, nor does anybody for one that takes long.
func TestFewDoNotReunite(t *testing.T) {
	for _, far := range []bool{false, true} {
		g, f := newFlights()
		n := crowd/2 - 1
		if far {
			g.reunion.flight, n = mostFlight, crowd
		}
		first := commitMany(t, g, n)
		second := commitMany(t, g, n)
		if a, b := <-f.begun, <-f.begun; a != n || b != n {
			t.Errorf("proposals of %d and %d commits, want %d each", a, b, n)
		}
		f.outcome <- struct{}{}
		f.outcome <- struct{}{}
		first()
		second()
	}
}

// Enough of them do not wait, however many others there are.
func TestEnoughDoNotReunite(t *testing.T) {
	g, f := newFlights()
	var waits []func()
	for range 3 {
		waits = append(waits, commitMany(t, g, enough))
		if n := <-f.begun; n != enough {
			t.Errorf("%d commits in a proposal, want %d", n, enough)
		}
	}
	for range waits {
		f.outcome <- struct{}{}
	}
	for _, wait := range waits {
		wait()
	}
}

// Those who do not come back are waited for less and less often.
func TestCrowdThatStaysAway(t *testing.T) {
	g, e := newGroup()
	g.patience = time.Millisecond
	waited := 0
	for range 40 {
		g.reunion.land(0, crowd, time.Millisecond) // a crowd was answered
		if g.reunion.want > 0 {
			waited++
		}
		if err := errors.Join(commitAll(g, [][]byte{[]byte("rows")})...); err != nil {
			t.Fatal(err)
		}
	}
	if want := 6; waited != want { // the first, second, fourth, eighth, 16th and 32nd
		t.Errorf("waited %d times of 40 for a crowd that never came back, want %d", waited, want)
	}
	if len(e.proposals) != 40 {
		t.Errorf("%d proposals of 40 commits", len(e.proposals))
	}
}
