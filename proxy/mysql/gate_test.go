package mysql

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestGateKeepsApart(t *testing.T) {
	g := newGate()
	var inside, alone atomic.Int32
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for range 200 {
				if i%5 == 0 {
					if err := g.exclude(t.Context()); err != nil {
						t.Error(err)
						return
					}
					if alone.Add(1) != 1 || inside.Load() != 0 {
						t.Error("not alone")
					}
					alone.Add(-1)
					g.readmit()
					continue
				}
				if err := g.enter(t.Context()); err != nil {
					t.Error(err)
					return
				}
				inside.Add(1)
				if alone.Load() != 0 {
					t.Error("inside beside a schema change")
				}
				inside.Add(-1)
				g.leave()
			}
		})
	}
	wg.Wait()
}

func TestGateGivesUp(t *testing.T) {
	g := newGate()
	if err := g.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.exclude(over); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// It does not keep anybody out any more.
	if err := g.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.leave()
	g.leave()
	if err := g.exclude(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.enter(over); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
