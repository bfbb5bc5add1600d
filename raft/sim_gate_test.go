package raft

import (
	"context"
	"time"
)

// simGate is where a goroutine of a node waits for its event.
type simGate struct {
	node  *simNode
	run   int // of the node
	kind  string
	key   string
	open  chan simVerdict
	serve *simRequest // for a request to another node
}

// simVerdict is what happens to a goroutine behind its gate.
type simVerdict struct {
	err    error // it fails, and nothing happens
	part   float64
	answer *simAnswer // of a request
}

// effect asks whether something that others could see, or that stays, still happens: the program may die at it.
func (n *simNode) effect(run int, what string) bool {
	if n.run != run || n.dead {
		return false
	}
	if n.crashIn == 0 || n.crashAt != "" && n.crashAt != what {
		return true
	}
	if n.crashIn--; n.crashIn > 0 {
		return true
	}
	n.w.note("n%d dies: %s", n.i, what)
	n.dead = true
	return false
}

// doomed says whether the next such effect will be the last one.
func (n *simNode) doomed(what string) bool {
	return n.crashIn == 1 && (n.crashAt == "" || n.crashAt == what)
}

// gate waits for the event of what a goroutine of the node is about to do.
func (n *simNode) gate(ctx context.Context, run int, kind, key string) (simVerdict, error) {
	return n.wait(ctx, &simGate{node: n, run: run, kind: kind, key: key, open: make(chan simVerdict, 1)})
}

func (n *simNode) wait(ctx context.Context, g *simGate) (simVerdict, error) {
	n.w.mu.Lock()
	n.w.atGate = append(n.w.atGate, g)
	n.w.mu.Unlock()
	select {
	case v := <-g.open:
		return v, v.err
	case <-ctx.Done():
		return simVerdict{}, context.Cause(ctx)
	}
}

// admit makes the event of a goroutine that came to a gate.
func (n *simNode) admit(g *simGate) {
	if g.run != n.run {
		return
	}
	p := &n.w.plan
	switch g.kind {
	case "request":
		n.w.net.request(g)
	case "answer":
		n.w.net.answer(g)
	case "apply", "restore", "open":
		n.w.after(n.w.between(20*time.Microsecond, p.backendDelay), func() { n.store.admit(g) })
	default:
		n.w.after(n.w.between(20*time.Microsecond, p.backendDelay), func() { n.pass(g, simVerdict{}) })
	}
}

// pass opens the gate, when the node is awake.
func (n *simNode) pass(g *simGate, v simVerdict) {
	n.whenAwake(func() {
		if g.run == n.run {
			n.w.note("n%d %s %.40q %v", n.i, g.kind, g.key, v.err)
			g.open <- v
		}
	})
}

func (n *simNode) whenAwake(do func()) {
	if n.paused {
		n.deferred = append(n.deferred, do)
		return
	}
	do()
}

// pause stops the program for a while, as SIGSTOP or a suspended machine do. Its clock goes on.
func (n *simNode) pause(d time.Duration) {
	if n.r == nil || n.paused {
		return
	}
	n.w.note("n%d pauses for %v", n.i, d)
	n.paused = true
	n.pausedAt.Store(int64(n.w.now()))
	run := n.run
	n.w.after(d, func() {
		if n.run == run {
			n.wake()
		}
	})
}

func (n *simNode) wake() {
	if !n.paused {
		return
	}
	n.w.note("n%d wakes", n.i)
	n.paused = false
	n.frozen.Add(int64(n.w.now()) - n.pausedAt.Swap(0))
	run := n.run
	if n.tickOwed {
		n.deferred = append(n.deferred, func() {
			if n.run == run && n.up {
				n.tick()
			}
		})
	}
	for _, do := range n.deferred {
		n.w.after(n.w.between(0, time.Millisecond), func() { n.whenAwake(do) })
	}
	n.deferred, n.tickOwed = nil, false
}
