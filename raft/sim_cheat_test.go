package raft

import (
	"context"
	"slices"
	"testing"
	"time"
)

// simCheat breaks a promise that the Replicator rests on, to show that the simulation notices what comes of it.
type simCheat struct {
	plan           func(*simPlan) // changes the plan that was drawn
	frozenClocks   bool           // clocks stand still while a node is paused
	lyingDisk      bool           // what was synced may be lost
	forgetPosition bool           // a backend may keep what was applied, but not its position
	repeatRequests bool           // the network repeats requests
	staleReads     bool           // a backend answers reads though it holds less than it did
}

// The checks are worth something only if they fail when they should.
func TestSimulationNotices(t *testing.T) {
	faults := func(names ...string) func(p *simPlan) {
		return func(p *simPlan) {
			p.nodes, p.joiners, p.leases, p.clients, p.think, p.pauseBetween = 3, 0, true, 8, 20*time.Millisecond, 2*time.Second
			p.length, p.loss, p.late = 4*time.Second, 0, 0
			p.faults = slices.DeleteFunc(slices.Clone(simFaults), func(f simFault) bool { return !slices.Contains(names, f.name) })
		}
	}
	tests := []struct {
		name  string
		cheat simCheat
	}{
		{"clocks that stand still in a pause", simCheat{frozenClocks: true, plan: func(p *simPlan) {
			faults()(p)
			p.faults = []simFault{{"pause the leader", (*simWorld).pauseLeader}}
		}}},
		{"clocks that run at any rate", simCheat{plan: func(p *simPlan) {
			faults()(p)
			p.faults = []simFault{{"isolate a slow leader", (*simWorld).isolateSlow}}
			p.rates, p.electionTicks = []float64{0.3, 1.3, 1.3}, 10
		}}},
		{"a disk that loses what was synced", simCheat{lyingDisk: true, plan: faults("crash", "crash all")}},
		{"a backend that forgets its position", simCheat{forgetPosition: true, plan: faults()}},
		{"a backend that answers with less than it held", simCheat{staleReads: true, plan: faults("backend loses data")}},
		{"a network that repeats requests", simCheat{repeatRequests: true, plan: faults()}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for i := range uint64(300) {
				if w := simulate(t, i, test.cheat); w.failure != nil {
					t.Logf("noticed in run %d: %v", i+1, w.failure)
					return
				}
			}
			t.Fatal("not noticed in 300 runs")
		})
	}
}

func (w *simWorld) pauseLeader() {
	if n := w.leader(); n != nil {
		n.pause(w.between(time.Second, 4*time.Second))
		w.probe(n)
	}
}

// isolateSlow isolates node 0 when it leads, and has it lead otherwise.
func (w *simWorld) isolateSlow() {
	slow, n := w.nodes[0], w.leader()
	switch {
	case n == nil:
	case n != slow:
		w.operate(n, "transfer", func(ctx context.Context, r *Replicator) error { return r.TransferLeadership(ctx, slow.id) })
	default:
		w.deafen(slow)
		for _, other := range w.nodes {
			w.cut(slow, other)
		}
		w.probe(slow)
	}
}
