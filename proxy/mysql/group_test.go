package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// echo answers each command with itself, and counts the proposals.
type echo struct {
	mu        sync.Mutex
	proposals [][][]byte
	err       error
}

func (e *echo) propose(_ context.Context, commands [][]byte) (raft.Outcome, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.proposals = append(e.proposals, commands)
	if e.err != nil {
		return raft.Outcome{}, e.err
	}
	var o raft.Outcome
	for _, c := range commands {
		o.Replies = append(o.Replies, raft.Reply{Data: c})
	}
	return o, nil
}

func newGroup() (*commitGroup, *echo) {
	e := new(echo)
	return &commitGroup{propose: e.propose, patience: groupPatience}, e
}

// commitAll announces one transaction of each list of commands, commits all at once, and returns an error for each.
func commitAll(g *commitGroup, lists ...[][]byte) []error {
	errs := make([]error, len(lists))
	var wg sync.WaitGroup
	announced := make([]announcement, len(lists))
	for i := range lists {
		announced[i] = g.expect()
	}
	for i, commands := range lists {
		wg.Go(func() {
			replies, err := g.commit(context.Background(), announced[i], commands)
			if err == nil && len(replies) != len(commands) {
				err = fmt.Errorf("%d replies to %d commands", len(replies), len(commands))
			}
			for j := range replies {
				if !bytes.Equal(replies[j].Data, commands[j]) {
					err = fmt.Errorf("reply %q to %q", replies[j].Data, commands[j])
				}
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return errs
}

func TestCommitsGather(t *testing.T) {
	g, e := newGroup()
	g.patience = time.Minute // however long the machine takes
	var lists [][][]byte
	for i := range 10 {
		lists = append(lists, [][]byte{fmt.Appendf(nil, "sequence %d", i), fmt.Appendf(nil, "rows %d", i)})
	}
	if err := errors.Join(commitAll(g, lists...)...); err != nil {
		t.Error(err)
	}
	if n := len(e.proposals); n != 1 {
		t.Errorf("%d proposals of 10 commits that were expected", n)
	}
	if g.coming != 0 || g.open != nil {
		t.Errorf("left: %d coming, %v", g.coming, g.open)
	}
}

// Who is alone is proposed at once, and so is who waits for one that does not come.
func TestCommitsWaitForNobody(t *testing.T) {
	g, e := newGroup()
	for _, other := range []bool{false, true} {
		if other {
			a := g.expect()
			go g.forgo(a)
		}
		if err := errors.Join(commitAll(g, [][]byte{[]byte("rows")})...); err != nil {
			t.Error(err)
		}
	}
	// One that takes longer than anybody waits.
	a := g.expect()
	if err := errors.Join(commitAll(g, [][]byte{[]byte("rows")})...); err != nil {
		t.Error(err)
	}
	g.forgo(a)
	if len(e.proposals) != 3 || g.coming != 0 || g.open != nil {
		t.Errorf("%d proposals, %d coming, open %v", len(e.proposals), g.coming, g.open)
	}
}

// After a wait in vain the next commits do not wait for whoever is executed, which may be waiting for one of them.
func TestCommitsWaitInVainOnce(t *testing.T) {
	g, _ := newGroup()
	for i := range vainCommits + 1 {
		a := g.expect() // and waits for a row that the others have locked
		if err := errors.Join(commitAll(g, [][]byte{[]byte("rows")})...); err != nil {
			t.Fatal(err)
		}
		if want := vainCommits - i; g.vain != want {
			t.Fatalf("%d commits will not wait, want %d", g.vain, want)
		}
		g.forgo(a)
	}
}

// Who was waited for once is not waited for again, however long it takes.
func TestCommitsWaitForOneOnce(t *testing.T) {
	g, _ := newGroup()
	long := g.expect()
	if err := errors.Join(commitAll(g, [][]byte{[]byte("a")}, [][]byte{[]byte("b")})...); err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	coming := g.coming
	g.mu.Unlock()
	if coming != 0 {
		t.Fatalf("%d are waited for, though all but one have come", coming)
	}
	short := g.expect()
	g.forgo(long)
	if g.coming != 1 {
		t.Fatalf("%d are waited for after the long one, want 1", g.coming)
	}
	g.forgo(short)
	if g.coming != 0 {
		t.Fatalf("%d are waited for, want none", g.coming)
	}
}

// A proposal lasts for as long as one of its members has time, and each of them waits for as long as it has.
func TestCommitsHaveTheirOwnTime(t *testing.T) {
	g := &commitGroup{patience: time.Minute}
	ctx := func(limit time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		t.Cleanup(cancel)
		return ctx
	}
	leads, long := ctx(time.Minute), ctx(time.Hour)
	j := &gathering{ctx: leads, members: 1, full: make(chan struct{}), done: make(chan struct{})}
	g.open = j
	never := g.expect()
	a, b := g.expect(), g.expect()
	patient := make(chan error, 1)
	go func() {
		_, err := g.commit(long, a, [][]byte{[]byte("a")})
		patient <- err
	}()
	if _, err := g.commit(ctx(0), b, [][]byte{[]byte("b")}); !errors.Is(err, raft.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who has no time left got %v", err)
	}
	for joined := false; !joined; runtime.Gosched() {
		g.mu.Lock()
		joined = j.members == 3
		g.mu.Unlock()
	}
	g.forgo(never)
	var within context.Context
	g.propose = func(ctx context.Context, commands [][]byte) (raft.Outcome, error) {
		within = ctx
		return raft.Outcome{Replies: make([]raft.Reply, len(commands))}, nil
	}
	g.lead(j)
	if within != long {
		t.Error("the proposal does not have the time of the member that has the most")
	}
	if err := <-patient; err != nil {
		t.Error(err)
	}
}

// A transaction that is too large fails alone.
func TestLargeCommitsGoAlone(t *testing.T) {
	g, e := newGroup()
	g.patience = time.Minute
	large := bytes.Repeat([]byte("x"), groupBytes)
	if err := errors.Join(commitAll(g, [][]byte{large}, [][]byte{[]byte("rows")})...); err != nil {
		t.Error(err)
	}
	if len(e.proposals) != 2 {
		t.Errorf("%d proposals", len(e.proposals))
	}
}

// All in a proposal share its fate.
func TestCommitsFailTogether(t *testing.T) {
	g, e := newGroup()
	e.err = raft.ErrOutcomeUnknown
	for _, err := range commitAll(g, [][]byte{[]byte("a")}, [][]byte{[]byte("b")}) {
		if !errors.Is(err, raft.ErrOutcomeUnknown) {
			t.Error(err)
		}
	}
}
