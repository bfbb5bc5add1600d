package mysql

import (
	"context"
	"testing"
	"time"
)

// owing is a backend whose transactions others have yet to catch up with.
type owing struct {
	scripted
	settled chan uint64
}

func (owing) Owes() bool            { return true }
func (b owing) Settle(index uint64) { b.settled <- index }

// ahead is a node that knows how far a majority is.
type ahead struct{ alwaysLeader }

func (ahead) AppliedByMajority(context.Context) uint64 { return 7 }

// A backend that is owed to is told what others have caught up with.
func TestOwedIsSettled(t *testing.T) {
	settled := make(chan uint64)
	ctx, cancel := context.WithCancel(t.Context())
	s := &Server{ctx: ctx, node: ahead{}, backend: owing{settled: settled}}
	s.tasks.Go(s.watchOwed)
	select {
	case index := <-settled:
		if index != 7 {
			t.Errorf("settled up to %d", index)
		}
	case <-time.After(40 * time.Second):
		t.Error("it was not told")
	}
	cancel()
	go func() {
		for range settled { // one more, maybe
		}
	}()
	s.tasks.Wait()
	close(settled)
}
