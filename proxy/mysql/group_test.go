package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

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
	return &commitGroup{propose: e.propose}, e
}

// commitAll commits one transaction of each list of commands at once, and returns an error for each.
func commitAll(g *commitGroup, lists ...[][]byte) []error {
	errs := make([]error, len(lists))
	var wg sync.WaitGroup
	for i, commands := range lists {
		wg.Go(func() {
			replies, err := g.commit(context.Background(), commands)
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
	var lists [][][]byte
	for i := range 10 {
		lists = append(lists, [][]byte{fmt.Appendf(nil, "sequence %d", i), fmt.Appendf(nil, "rows %d", i)})
		g.expect()
	}
	if err := errors.Join(commitAll(g, lists...)...); err != nil {
		t.Error(err)
	}
	if n := len(e.proposals); n >= 10 {
		t.Errorf("%d proposals of 10 commits that were expected", n)
	}
	if g.coming != 0 || g.open != nil {
		t.Errorf("left: %d coming, %v", g.coming, g.open)
	}
}

// Who is alone is proposed at once, and so is who waits for one that does not come.
func TestCommitsWaitForNobody(t *testing.T) {
	g, e := newGroup()
	for _, other := range []func(){nil, g.forgo} {
		g.expect()
		if other != nil {
			g.expect()
			go other()
		}
		if err := errors.Join(commitAll(g, [][]byte{[]byte("rows")})...); err != nil {
			t.Error(err)
		}
	}
	// One that takes longer than anybody waits.
	g.expect()
	g.expect()
	if err := errors.Join(commitAll(g, [][]byte{[]byte("rows")})...); err != nil {
		t.Error(err)
	}
	g.forgo()
	if len(e.proposals) != 3 || g.coming != 0 || g.open != nil {
		t.Errorf("%d proposals, %d coming, open %v", len(e.proposals), g.coming, g.open)
	}
}

// After a wait in vain the next commits do not wait for whoever is executed, which may be waiting for one of them.
func TestCommitsWaitInVainOnce(t *testing.T) {
	g, _ := newGroup()
	g.expect() // and waits for a row that each of the others has locked
	for i := range vainCommits + 1 {
		g.expect()
		if err := errors.Join(commitAll(g, [][]byte{[]byte("rows")})...); err != nil {
			t.Fatal(err)
		}
		if want := vainCommits - i; g.vain != want {
			t.Fatalf("%d commits will not wait, want %d", g.vain, want)
		}
	}
	g.forgo()
}

// A transaction that is too large fails alone.
func TestLargeCommitsGoAlone(t *testing.T) {
	g, e := newGroup()
	large := bytes.Repeat([]byte("x"), groupBytes)
	g.expect()
	g.expect()
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
	g.expect()
	g.expect()
	for _, err := range commitAll(g, [][]byte{[]byte("a")}, [][]byte{[]byte("b")}) {
		if !errors.Is(err, raft.ErrOutcomeUnknown) {
			t.Error(err)
		}
	}
}
