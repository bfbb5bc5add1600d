package raft

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/server/v3/wal"
)

// simRest is how long a cluster may take to come to rest when nothing is broken any more: longer than a question about
// what differs may wait for an answer that does not come.
const simRest = 2 * detailTimeout

// simulate runs one cluster.
func simulate(t *testing.T, seed uint64, cheat simCheat) (w *simWorld) {
	inSimulation(t, seed, func(t *testing.T, dir string) {
		w = newSimWorld(t, seed, dir, cheat)
		w.live()
	})
	return w
}

func inSimulation(t *testing.T, seed uint64, do func(t *testing.T, dir string)) {
	defer func(size int64) { wal.SegmentSizeBytes = size }(wal.SegmentSizeBytes)
	wal.SegmentSizeBytes = 8 << 10                  // so that there are many segments
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one goroutine runs at a time anyway
	dir := memoryDir(t, seed)
	defer os.RemoveAll(dir)
	synctest.Test(t, func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, seed)
		do(t, dir)
	})
}

// memoryDir is a directory that costs no disk, where there is one. If a goroutine panics it is left behind, and its name
// tells the seed.
func memoryDir(t *testing.T, seed uint64) string {
	for _, base := range []string{"/dev/shm", ""} {
		if dir, err := os.MkdirTemp(base, fmt.Sprintf("nexus-sim-%d-", seed)); err == nil {
			return dir
		}
	}
	t.Fatal("no directory for the simulation")
	return ""
}

func (w *simWorld) live() {
	defer w.end()
	w.begin()
	w.nextFault()
	w.run(w.plan.length, nil)
	w.rest()
}

// begin starts the first members and the clients.
func (w *simWorld) begin() {
	for _, n := range w.nodes {
		if !n.joined {
			n.boot()
		}
	}
	if w.chance(0.7) { // no need to wait for an election
		n := w.nodes[w.rng.IntN(w.plan.nodes)]
		w.after(20*time.Millisecond, func() {
			if n.up {
				_ = n.r.node.Campaign()
			}
		})
	}
	for i := range w.plan.clients {
		c := &simClient{w: w, i: i, writes: []float64{0.1, 0.5, 0.9}[w.rng.IntN(3)]}
		w.after(w.between(0, w.plan.think), c.next)
	}
}

// rest heals everything and waits for what has to come of it.
func (w *simWorld) rest() {
	w.heal()
	w.run(w.now()+simRest, w.atRest)
	w.checkRest()
}

// heal ends all faults and brings everyone back.
func (w *simWorld) heal() {
	w.note("heal")
	w.healed = true
	clear(w.net.cut)
	clear(w.net.lag)
	w.plan.loss, w.plan.repeat, w.plan.late, w.plan.downtime = 0, 0, 0, 20*time.Millisecond
	for _, n := range w.nodes {
		n.store.failsUntil, n.store.hangsUntil, n.turnDelay, n.crashIn = 0, 0, 0, 0
		if n.disk != nil {
			n.disk.fail = false
		}
		n.wake()
		if n.r == nil && n.run > 0 {
			n.boot()
		}
	}
	for _, m := range w.members() {
		l := &simLast{w: w, n: m}
		w.lasts = append(w.lasts, l)
		w.after(w.between(0, w.plan.think), l.next)
	}
}

// members are the nodes that, as far as anybody can tell, are members now.
func (w *simWorld) members() (members []*simNode) {
	for _, n := range w.nodes {
		if !n.joined && !n.removable {
			members = append(members, n)
		}
	}
	return members
}

func (w *simWorld) atRest() bool { return w.unrest() == "" }

// unrest says what is not yet as it should be.
func (w *simWorld) unrest() string {
	for _, l := range w.lasts {
		switch {
		case !l.wrote:
			return fmt.Sprintf("n%d takes no write", l.n.i)
		case !l.read:
			return fmt.Sprintf("n%d answers no read", l.n.i)
		}
	}
	if len(w.calls) > 0 {
		return fmt.Sprintf("%d calls have no answer", len(w.calls))
	}
	last := uint64(len(w.ledger.entries))
	for _, n := range w.current() {
		if !n.up || n.store.state.Position.Index != last {
			return fmt.Sprintf("n%d (up %v) holds index %d of %d", n.i, n.up, n.store.state.Position.Index, last)
		}
	}
	return ""
}

// current are the members that the leader of the highest term knows.
func (w *simWorld) current() (members []*simNode) {
	running := slices.DeleteFunc(slices.Clone(w.nodes), func(n *simNode) bool { return !n.up || !n.r.leading })
	if len(running) == 0 {
		return w.members()
	}
	leader := slices.MaxFunc(running, func(a, b *simNode) int { return cmp.Compare(a.r.term.Load(), b.r.term.Load()) })
	for _, m := range leader.r.Members() {
		members = append(members, w.net.node(m.ID))
	}
	return members
}

func (w *simWorld) checkRest() {
	if w.failure != nil {
		return
	}
	if why := w.unrest(); why != "" {
		w.violate("%v after everything was healed: %s", simRest, why)
		return
	}
	w.ledger.finish()
}

// end stops what still runs.
func (w *simWorld) end() {
	w.healed = true
	for _, n := range w.nodes {
		n.stop()
	}
}
