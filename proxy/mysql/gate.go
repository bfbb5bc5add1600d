package mysql

import (
	"context"
	"fmt"
	"sync"
)

// gate keeps schema changes and transactions apart. A schema change is executed while entries of the log are applied one
// after the other: if it had to wait there for the locks of an open transaction, that one's commit, which stands behind it
// in the log, could never come.
type gate struct {
	mu      sync.Mutex
	inside  int
	waiting int           // schema changes that wait or are inside
	changed chan struct{} // of those who wait, closed when inside or waiting falls; nil where nobody does
	closed  bool          // a schema change is inside
}

func newGate() *gate { return &gate{} }

func (g *gate) wake() {
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// await waits until take, which is called with mu held, returns true.
func (g *gate) await(ctx context.Context, take func() bool) error {
	for {
		taken, changed := g.try(take)
		if taken {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// try calls take, and returns what to wait for if it returns false.
func (g *gate) try(take func() bool) (taken bool, changed chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if take() {
		return true, nil
	}
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	return false, g.changed
}

// enter waits until no schema change is waiting or inside. Each enter needs a leave.
func (g *gate) enter(ctx context.Context) error {
	return g.await(ctx, func() bool {
		if g.waiting > 0 {
			return false
		}
		g.inside++
		return true
	})
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.wake()
}

// exclude waits until it is alone inside. New transactions wait meanwhile, or a busy server would never let it in.
func (g *gate) exclude(ctx context.Context) error {
	g.mu.Lock()
	g.waiting++
	g.mu.Unlock()
	err := g.await(ctx, func() bool {
		if g.inside > 0 || g.closed {
			return false
		}
		g.closed = true
		return true
	})
	if err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.waiting--
		g.wake()
	}
	return err
}

// remain is readmit for who goes on inside as one of the others.
func (g *gate) remain() {
	g.mu.Lock()
	g.inside++
	g.mu.Unlock()
	g.readmit()
}

// crowded reports whether several transactions are inside.
func (g *gate) crowded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside > 1
}

// held says what keeps a schema change out.
func (g *gate) held() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return "another session changed the schema or held table locks"
	}
	return fmt.Sprintf("other sessions had transactions open, %d at last,", g.inside)
}

func (g *gate) readmit() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
	g.waiting--
	g.wake()
}
