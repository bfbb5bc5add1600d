package mysql

import (
	"context"
	"sync"
)

// gate keeps schema changes and transactions apart. A schema change is executed while entries of the log are applied one
// after the other: if it had to wait there for the locks of an open transaction, that one's commit, which stands behind it
// in the log, could never come.
type gate struct {
	mu      sync.Mutex
	inside  int
	waiting int           // schema changes that wait or are inside
	changed chan struct{} // closed and replaced when inside or waiting falls
	closed  bool          // a schema change is inside
}

func newGate() *gate { return &gate{changed: make(chan struct{})} }

func (g *gate) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// enter waits until no schema change is waiting or inside. Each enter needs a leave.
func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		if g.waiting == 0 {
			g.inside++
			g.mu.Unlock()
			return nil
		}
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
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
	for {
		g.mu.Lock()
		if g.inside == 0 && !g.closed {
			g.closed = true
			g.mu.Unlock()
			return nil
		}
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			g.mu.Lock()
			g.waiting--
			g.wake()
			g.mu.Unlock()
			return context.Cause(ctx)
		}
	}
}

func (g *gate) readmit() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
	g.waiting--
	g.wake()
}
