package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// simClient asks one thing after the other, of any node.
type simClient struct {
	w *simWorld
	i int
	n int // calls so far

	writes float64 // share of calls
	once   bool    // it asks no more after its call
}

// simCall is one call of a method of a Replicator.
type simCall struct {
	client *simClient // nil: an operator's
	node   *simNode
	id     string
	cmds   [][]byte // of a write
	floor  uint64   // of the ledger when it began

	// Set by its goroutine, behind simWorld.mu.
	done   bool
	err    error
	result Outcome
	at     uint64 // position that a read found
	what   string // an operator's

	barred bool // it is a read of a node that was out of service when it began
	lost   bool // the node crashed: whatever it answers is not heard
}

func (c *simClient) next() {
	w := c.w
	if w.healed {
		return
	}
	n := w.pick(w.nodes)
	if !n.up || n.removed || w.quiet {
		w.after(w.between(time.Millisecond, 2*w.plan.think), c.next)
		return
	}
	c.n++
	if w.chance(c.writes) {
		c.startWrite(n, w.patience)
		return
	}
	c.startRead(n, w.patience)
}

// probe asks, for a while, for what would be seen if n still believed to be the leader: writes elsewhere, reads there.
func (w *simWorld) probe(n *simNode) {
	if w.chance(0.3) {
		return
	}
	for range 12 {
		w.probes++
		c := &simClient{w: w, i: 1000, n: w.probes, once: true}
		w.after(w.between(0, 3*time.Second), func() {
			other := w.pick(w.nodes)
			switch {
			case w.healed:
			case other != n && other.up:
				c.startWrite(other, w.patience)
			case n.up:
				c.startRead(n, w.patience)
			}
		})
	}
}

func (c *simClient) startWrite(n *simNode, patience simPatience) *simCall {
	w := c.w
	call := &simCall{client: c, node: n, id: fmt.Sprintf("c%d.%d", c.i, c.n), floor: w.ledger.floor}
	for i := range 1 + w.rng.IntN(3)*w.rng.IntN(2) {
		call.cmds = append(call.cmds, fmt.Appendf(nil, "%s k%d %d.%d.%d", call.id, w.rng.IntN(3), c.i, c.n, i))
	}
	w.ledger.size[call.id] = len(call.cmds)
	ctx, cancel := patience(context.Background())
	cmds := slices.Clone(call.cmds)
	w.call(call, func(r *Replicator) {
		defer cancel()
		call.result, call.err = r.Propose(ctx, cmds)
	})
	return call
}

func (c *simClient) startRead(n *simNode, patience simPatience) *simCall {
	w := c.w
	key := fmt.Sprint("k", w.rng.IntN(3))
	call := &simCall{client: c, node: n, id: fmt.Sprintf("c%d.%d", c.i, c.n), floor: w.ledger.floor}
	call.barred = n.r.quarantined.Load() != nil
	ctx, cancel := patience(context.Background())
	run := n.run
	w.call(call, func(r *Replicator) {
		defer cancel()
		defer context.AfterFunc(r.ctx, cancel)() // as the backend's connections are closed
		call.err = r.Read(ctx, func(ctx context.Context) error {
			if _, err := n.gate(ctx, run, "read", call.id); err != nil {
				return err
			}
			var err error
			if _, call.at, err = n.store.get(key); err != nil {
				return err
			}
			_, err = n.gate(ctx, run, "found", call.id)
			return err
		})
	})
	return call
}

// simPatience is how long a caller waits.
type simPatience func(context.Context) (context.Context, context.CancelFunc)

// patience is mostly longer than that of the Replicator.
func (w *simWorld) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if w.chance(0.6) {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, w.between(5*time.Millisecond, w.plan.timeout))
}

func (w *simWorld) call(c *simCall, do func(r *Replicator)) {
	w.note("n%d %s %s begins", c.node.i, c.id, c.what)
	w.calls = append(w.calls, c)
	r := c.node.r
	go func() {
		do(r)
		w.mu.Lock()
		defer w.mu.Unlock()
		c.done = true
	}()
}

// operate has something done that no client asks for.
func (w *simWorld) operate(n *simNode, what string, do func(ctx context.Context, r *Replicator) error) {
	if !n.up {
		return
	}
	call := &simCall{node: n, what: what}
	w.call(call, func(r *Replicator) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		call.err = do(ctx, r)
	})
}

// collectCalls takes the answers that have come.
func (w *simWorld) collectCalls() {
	w.mu.Lock()
	var came []*simCall
	w.calls = slices.DeleteFunc(w.calls, func(c *simCall) bool {
		if c.done || c.lost {
			came = append(came, c)
		}
		return c.done || c.lost
	})
	w.mu.Unlock()
	for _, c := range came {
		switch {
		case c.client == nil:
			if errors.Is(c.err, errSimCrash) {
				c.err = errSimCrash // where it was in its way then, select decides by chance
			}
			w.note("%s on n%d: %v", c.what, c.node.i, c.err)
			if errors.Is(c.err, errSimViolation) {
				w.violate("%s on n%d: %v", c.what, c.node.i, c.err)
			}
			continue
		case len(c.cmds) > 0:
			w.ledger.wrote(c)
		default:
			w.ledger.readDone(c)
		}
		if !c.client.once {
			w.after(w.between(0, w.plan.think), c.client.next)
		}
	}
}

// simSequencer puts commands of its own before those of clients now and then, and has them wait for them.
type simSequencer struct {
	n    *simNode
	made int
}

func (s *simSequencer) Sequence(_ int64, cmds []Command) (before []Command, hold bool) {
	w := s.n.w
	if s.n.store.state.Position.Term != s.n.r.term.Load() && s.n.store.state.Position.Index >= s.n.r.applied.Load() {
		w.violate("n%d sequences in term %d, its backend holds %+v", s.n.i, s.n.r.term.Load(), s.n.store.state.Position)
	}
	if len(cmds) == 0 || !w.chance(0.1) {
		return nil, false
	}
	s.made++
	data := fmt.Appendf(nil, "s%d.%d.%d k%d s%d", s.n.i, s.n.run, s.made, w.rng.IntN(3), s.made)
	return []Command{{Data: data}}, w.chance(0.5)
}

// simLast asks a member again and again, until it has answered a write and a read.
type simLast struct {
	w           *simWorld
	n           *simNode
	wrote, read bool
	tries       int
}

func (l *simLast) next() {
	w := l.w
	switch l.tries++; {
	case l.wrote && l.read:
		return
	case !l.n.up:
		w.after(50*time.Millisecond, l.next)
		return
	}
	c := &simClient{w: w, i: 100 + l.n.i, n: l.tries, once: true}
	call := c.startWrite
	if l.wrote {
		call = c.startRead
	}
	l.watch(call(l.n, context.WithCancel))
}

func (l *simLast) watch(c *simCall) {
	if slices.Contains(l.w.calls, c) {
		l.w.after(10*time.Millisecond, func() { l.watch(c) })
		return
	}
	if c.err == nil && !c.lost {
		l.read = l.wrote
		l.wrote = true
	}
	l.next()
}
