package raft

import (
	"context"
	"testing"
	"time"
)

// script runs a cluster with leisurely clients and without faults but those that play makes.
func script(t *testing.T, plan func(*simPlan), play func(w *simWorld)) {
	t.Helper()
	for seed := range uint64(simScriptSeeds) {
		inSimulation(t, seed, func(t *testing.T, dir string) {
			w := newSimWorld(t, seed, dir, simCheat{plan: func(p *simPlan) {
				*p = simPlan{
					nodes: 3, clients: 4, electionTicks: 10, snapshotCount: 1000, maxBatch: 100, maxLag: 1000, timeout: time.Second,
					think: 50 * time.Millisecond, netDelay: 2 * time.Millisecond, backendDelay: time.Millisecond, snapshotDelay: 20 * time.Millisecond,
				}
				plan(p)
			}})
			defer w.end()
			w.begin()
			w.await("leader", func() bool { return w.leader() != nil && w.ledger.writes > 20 })
			if w.failure == nil {
				play(w)
			}
			w.rest()
			if w.failure != nil {
				t.Fatalf("seed %d: %v", seed, w.failure)
			}
		})
	}
}

func (w *simWorld) await(what string, done func() bool) {
	w.run(w.now()+simRest, done)
	if w.failure == nil && !done() {
		w.violate("no %s within %v", what, simRest)
	}
}

func (w *simWorld) pass(d time.Duration) { w.run(w.now()+d, nil) }

func (w *simWorld) leader() *simNode {
	for _, n := range w.nodes {
		if n.up && n.r.leading {
			return n
		}
	}
	return nil
}

// kill ends programs where they are, as kill -9 does, and leaves them down.
func (w *simWorld) kill(nodes ...*simNode) {
	for _, n := range nodes {
		n.dead = true
		n.stop()
	}
}

// A leader whose backend was emptied sequences nothing before that holds again what earlier leaders left (simSequencer
// looks).
func TestSequencerWaitsForRefill(t *testing.T) {
	slow := func(p *simPlan) {
		p.sequencer, p.backendDelay, p.think = true, 100*time.Millisecond, 10*time.Millisecond
	}
	script(t, slow, func(w *simWorld) {
		for range 10 {
			w.leader().store.lose(0)
			w.pass(500 * time.Millisecond)
			w.await("leader", func() bool { return w.leader() != nil })
		}
	})
}

// After a restart a backend is ahead of what its node knows to be committed, until a leader tells. A snapshot taken then
// would not count at the next start, while the log before it is gone.
func TestSnapshotBeforeCommitIsKnown(t *testing.T) {
	script(t, func(p *simPlan) { p.snapshotCount = 10 }, func(w *simWorld) {
		n := w.nodes[0]
		for range 10 {
			w.pass(300 * time.Millisecond)
			w.kill(w.nodes...)
			n.boot() // alone
			w.pass(50 * time.Millisecond)
			w.operate(n, "snapshot", func(ctx context.Context, r *Replicator) error { return r.Snapshot(ctx) })
			w.pass(500 * time.Millisecond)
			w.kill(n)
			for _, n := range w.nodes {
				n.boot()
			}
			w.await("leader", func() bool { return w.leader() != nil })
		}
	})
}

// The one that is left knows it after a crash, wherever that was, though nobody else can tell it.
func TestCrashAroundRemovalOfOneOfTwo(t *testing.T) {
	for _, at := range []string{"send", "before save", "after save", "before sync", "after sync", "after apply"} {
		for times := range 4 {
			script(t, func(p *simPlan) { p.nodes, p.clients = 2, 1 }, func(w *simWorld) {
				n := w.leader()
				gone := w.nodes[1-n.i]
				gone.removable = true
				w.operate(n, "remove", func(ctx context.Context, r *Replicator) error { return r.RemoveMember(ctx, gone.url, false) })
				n.crashAt, n.crashIn = at, 1+times
				run := n.run
				w.run(w.now()+time.Second, func() bool { return n.run != run })
				w.kill(n)
				n.boot()
			})
		}
	}
}

// The only voter commits what its disk does not have yet: nobody may hear of that, and learners least.
func TestCrashOfOnlyVoterWithLearner(t *testing.T) {
	alone := func(p *simPlan) { p.nodes, p.joiners, p.clients, p.think = 1, 1, 4, 5*time.Millisecond }
	script(t, alone, func(w *simWorld) {
		n, learner := w.nodes[0], w.nodes[1]
		learner.boot()
		w.operate(n, "add", func(ctx context.Context, r *Replicator) error { return r.AddMember(ctx, learner.url) })
		w.await("learner", func() bool { return learner.up })
		for range 20 {
			w.kill(n) // before it makes the learner a voter
			n.boot()
			w.await("leader", func() bool { return w.leader() != nil })
			w.pass(50 * time.Millisecond)
			n.crashAt, n.crashIn = "before save", 1
			run := n.run
			w.run(w.now()+time.Second, func() bool { return n.run != run })
			w.pass(20 * time.Millisecond)
		}
	})
}

// A node dies just after its backend was filled from a snapshot that another member sent.
func TestCrashAfterSnapshotFromPeer(t *testing.T) {
	for _, at := range []string{"before snapshot record", "after snapshot record", "before save", "after save", "halfway in restore", "after restore"} {
		quick := func(p *simPlan) {
			p.snapshotCount, p.backendDelay, p.netDelay = 5, 50*time.Microsecond, 20*time.Millisecond
		}
		script(t, quick, func(w *simWorld) {
			n := w.nodes[0]
			if n == w.leader() {
				n = w.nodes[1]
			}
			for _, other := range w.nodes {
				w.cut(n, other)
				w.cut(other, n)
			}
			entries := len(w.ledger.entries)
			w.await("entries", func() bool { return len(w.ledger.entries) > entries+20 })
			clear(w.net.cut)
			heard := "before snapshot is received"
			n.crashAt, n.crashIn = heard, 2
			w.await("snapshot", func() bool { return n.crashIn == 1 || n.crashAt != heard })
			n.crashAt, n.crashIn = at, 1
			run := n.run
			w.await("crash", func() bool { return n.run != run })
		})
	}
}

// stare asks the old leader for reads, and the others for writes, all the time.
func (w *simWorld) stare(old *simNode, d time.Duration) {
	for at := time.Duration(0); at < d; at += 5 * time.Millisecond {
		w.probes++
		c := &simClient{w: w, i: 1000, n: w.probes, once: true}
		w.after(at, func() {
			other := w.pick(w.nodes)
			switch {
			case other != old && other.up:
				c.startWrite(other, w.patience)
			case old.up:
				c.startRead(old, w.patience)
			}
		})
	}
	w.pass(d)
}

// A member that restarts forgets that it has just heard the leader. It must not help to elect another one while the
// leader's lease rests on that.
func TestLeaseOutlastsRestartOfVoter(t *testing.T) {
	script(t, func(p *simPlan) { p.leases = true }, func(w *simWorld) {
		for range 10 {
			w.await("leader", func() bool { return w.leader() != nil })
			leader := w.leader()
			voter, deaf := w.nodes[(leader.i+1)%3], w.nodes[(leader.i+2)%3]
			w.quiet = true
			w.pass(200 * time.Millisecond)
			w.cut(leader, deaf)
			w.pass(3 * time.Second) // it holds all of the log and would like to be the leader, the voter refuses
			w.quiet = false
			if leader != w.leader() {
				continue
			}
			w.cut(leader, voter)
			w.deafen(leader)
			w.kill(voter)
			voter.boot()
			w.stare(leader, 2*time.Second)
			clear(w.net.cut)
			w.pass(time.Second)
		}
	})
}

// A member that hears the leader does not help another one that does not, though that one could be elected.
func TestLeaseOutlastsCandidate(t *testing.T) {
	script(t, func(p *simPlan) { p.leases = true }, func(w *simWorld) {
		for range 6 {
			w.await("leader", func() bool { return w.leader() != nil })
			leader := w.leader()
			candidate := w.nodes[(leader.i+1)%3]
			w.quiet = true
			w.pass(200 * time.Millisecond)
			w.cut(leader, candidate)
			w.cut(candidate, leader)
			w.pass(w.between(600*time.Millisecond, 1600*time.Millisecond))
			w.quiet = false
			w.deafen(leader)
			w.stare(leader, 1200*time.Millisecond)
			clear(w.net.cut)
			w.pass(time.Second)
		}
	})
}

// A lease begins when its question was asked, however late the answers are.
func TestLeaseBeginsWithTheQuestion(t *testing.T) {
	short := func(p *simPlan) { p.leases, p.electionTicks = true, 5 }
	script(t, short, func(w *simWorld) {
		for range 20 {
			w.await("leader", func() bool { return w.leader() != nil })
			leader := w.leader()
			for _, other := range w.nodes {
				w.net.lag[[2]int{other.i, leader.i}] = 400 * time.Millisecond
			}
			w.pass(time.Second)
			for _, other := range w.nodes {
				if other != leader {
					w.cut(leader, other)
				}
			}
			w.stare(leader, 1500*time.Millisecond)
			clear(w.net.cut)
			clear(w.net.lag)
			w.pass(time.Second)
		}
	})
}
