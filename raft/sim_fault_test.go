package raft

import (
	"math/rand/v2"
	"time"
)

// simPlan is what a run is like: drawn from the seed, so that runs differ in kind and not only in luck.
type simPlan struct {
	nodes, joiners int
	clients        int
	leases         bool
	sequencer      bool
	electionTicks  int
	snapshotCount  uint64
	maxBatch       int
	maxLag         uint64
	timeout        time.Duration

	length        time.Duration // until everything is healed
	think         time.Duration // of a client, at most
	pauseBetween  time.Duration // of faults, at most
	downtime      time.Duration // after a crash, at most
	netDelay      time.Duration
	backendDelay  time.Duration
	snapshotDelay time.Duration
	loss          float64
	repeat        float64
	late          float64 // share of messages that take much longer
	drift         float64 // of clocks, either way
	rates         []float64

	faults []simFault
}

// simFault is one kind of trouble.
type simFault struct {
	name string
	do   func(w *simWorld)
}

var simFaults = []simFault{
	{"crash", (*simWorld).crash},
	{"crash all", (*simWorld).crashAll},
	{"isolate", (*simWorld).isolate},
	{"one way", (*simWorld).cutOneWay},
	{"slow links", (*simWorld).slowLinks},
	{"pause", (*simWorld).pauseOne},
	{"disk error", (*simWorld).breakDisk},
	{"slow disk", (*simWorld).slowDisk},
	{"wall clock", (*simWorld).setClock},
	{"backend fails", (*simWorld).failBackend},
	{"backend hangs", (*simWorld).hangBackend},
	{"backend loses data", (*simWorld).loseBackend},
	{"backend loses replies", (*simWorld).loseReplies},
	{"transfer", (*simWorld).transfer},
	{"snapshot", (*simWorld).takeSnapshot},
	{"add", (*simWorld).addOne},
	{"remove", (*simWorld).removeOne},
	{"replace", (*simWorld).replaceOne},
	{"verify", (*simWorld).verify},
	{"backup", (*simWorld).backUp},
	{"damage", (*simWorld).damageOne},
}

func (f simFault) String() string { return f.name }

func newSimPlan(rng *rand.Rand, cheat simCheat) simPlan {
	one := func(of ...int) int { return of[rng.IntN(len(of))] }
	ms := func(of ...int) time.Duration { return time.Duration(one(of...)) * time.Millisecond }
	p := simPlan{
		nodes: one(3, 3, 3, 3, 3, 5, 2, 1), joiners: one(0, 0, 1, 2), clients: one(2, 4, 8),
		leases: rng.IntN(2) == 0, sequencer: rng.IntN(3) == 0,
		electionTicks: one(5, 7, 10), snapshotCount: uint64(one(3, 5, 20, 60, 1000)),
		maxBatch: one(1, 3, 8192), maxLag: uint64(one(3, 20, 5000)), timeout: ms(300, 1000, 3000),
		length: ms(1000, 2500, 5000), think: ms(10, 40, 150), pauseBetween: ms(300, 1000, 3000), downtime: ms(100, 500, 2000),
		netDelay: ms(1, 3, 10), backendDelay: ms(1, 3, 20), snapshotDelay: ms(5, 50, 500),
	}
	if rng.IntN(2) == 0 {
		p.loss, p.repeat, p.late = 0.1*rng.Float64(), 0.1*rng.Float64(), 0.05*rng.Float64()
	}
	if rng.IntN(2) == 0 {
		p.drift = 0.047 // two such clocks differ by less than a tenth, which leases allow for
	}
	for _, f := range simFaults {
		if rng.IntN(3) == 0 {
			p.faults = append(p.faults, f)
		}
	}
	if cheat.plan != nil {
		cheat.plan(&p)
	}
	return p
}

func (w *simWorld) nextFault() {
	if len(w.plan.faults) == 0 {
		return
	}
	w.after(time.Duration(w.rng.Int64N(int64(w.plan.pauseBetween))), func() {
		if w.healed {
			return
		}
		f := w.plan.faults[w.rng.IntN(len(w.plan.faults))]
		w.note("fault: %s", f.name)
		f.do(w)
		w.nextFault()
	})
}

// running are the nodes whose program runs, and the leader among them with a good chance.
func (w *simWorld) victim() *simNode {
	var running []*simNode
	for _, n := range w.nodes {
		if !n.up {
			continue
		}
		running = append(running, n)
		if n.r.leading && w.chance(0.4) {
			return n
		}
	}
	return w.pick(running)
}

// simPlaces are the effects before or after which a program may die.
var simPlaces = []string{
	"before save", "after save", "before snapshot record", "after snapshot record",
	"send", "send snapshot", "before snapshot is received", "after snapshot was received", "answer",
	"before apply", "after apply", "snapshot body", "before restore", "halfway in restore", "after restore",
}

func (w *simWorld) crash() {
	if n := w.victim(); n != nil {
		w.doom(n, 5)
	}
}

func (w *simWorld) crashAll() {
	for _, n := range w.nodes {
		if n.up {
			w.doom(n, 2)
		}
	}
}

// doom has the program of a node die at some effect to come, or when it has waited for that for long.
func (w *simWorld) doom(n *simNode, most int) {
	n.crashAt, n.crashIn = "", 1+w.rng.IntN(2*most)
	if w.chance(0.7) {
		n.crashAt, n.crashIn = simPlaces[w.rng.IntN(len(simPlaces))], 1+w.rng.IntN(most)
	}
	run := n.run
	w.after(w.between(10*time.Millisecond, 3*time.Second), func() {
		n.dead = n.dead || n.run == run && n.crashIn > 0
	})
}

func (w *simWorld) isolate() {
	n := w.victim()
	if n == nil || len(w.net.cut) > 0 && w.chance(0.8) {
		return
	}
	w.deafen(n)
	for _, other := range w.nodes {
		if other != n {
			w.cut(n, other)
		}
	}
	w.probe(n)
}

// deafen cuts the links to n, and mends all of its links after a while.
func (w *simWorld) deafen(n *simNode) {
	for _, other := range w.nodes {
		if other != n {
			w.cut(other, n)
		}
	}
	w.after(w.between(50*time.Millisecond, 3*time.Second), func() {
		for link := range w.net.cut {
			if link[0] == n.i || link[1] == n.i {
				delete(w.net.cut, link)
			}
		}
	})
}

func (w *simWorld) cut(from, to *simNode) { w.net.cut[[2]int{from.i, to.i}] = true }

func (w *simWorld) cutOneWay() {
	a, b := w.pick(w.nodes), w.pick(w.nodes)
	if a == b {
		return
	}
	w.cut(a, b)
	w.probe(a)
	w.after(w.between(50*time.Millisecond, 3*time.Second), func() { delete(w.net.cut, [2]int{a.i, b.i}) })
}

// slowLinks has a node hear late what it is told, and in the end nothing more.
func (w *simWorld) slowLinks() {
	n := w.victim()
	if n == nil {
		return
	}
	for _, other := range w.nodes {
		if other != n {
			w.net.lag[[2]int{other.i, n.i}] = w.between(20*time.Millisecond, 600*time.Millisecond)
		}
	}
	w.after(w.between(500*time.Millisecond, 3*time.Second), func() {
		if w.chance(0.5) && !w.healed {
			w.deafen(n)
			w.probe(n)
		}
		for _, other := range w.nodes {
			delete(w.net.lag, [2]int{other.i, n.i})
		}
	})
}

func (w *simWorld) pauseOne() {
	if n := w.victim(); n != nil {
		n.pause(w.between(20*time.Millisecond, 3*time.Second))
		w.probe(n)
	}
}

func (w *simWorld) breakDisk() {
	if n := w.victim(); n != nil {
		n.disk.fail = true
	}
}

func (w *simWorld) slowDisk() {
	if n := w.victim(); n != nil {
		run := n.run
		n.turnDelay = w.between(time.Millisecond, 300*time.Millisecond)
		w.probe(n)
		w.after(w.between(50*time.Millisecond, 2*time.Second), func() {
			if n.run == run {
				n.turnDelay = 0
			}
		})
	}
}

func (w *simWorld) setClock() {
	w.pick(w.nodes).wall += time.Duration(w.rng.IntN(20_000)-10_000) * time.Millisecond
}

func (w *simWorld) failBackend() {
	n := w.pick(w.nodes)
	n.store.failsUntil = w.now() + w.between(10*time.Millisecond, 3*time.Second)
}

func (w *simWorld) hangBackend() {
	n := w.pick(w.nodes)
	n.store.hangsUntil = w.now() + w.between(10*time.Millisecond, 5*time.Second)
}

func (w *simWorld) loseBackend() {
	s := w.pick(w.nodes).store
	if w.chance(0.5) {
		s.lose(0)
		return
	}
	s.lose(w.rng.Uint64N(s.state.Position.Index + 1))
}

func (w *simWorld) loseReplies() {
	w.pick(w.nodes).store.loseReply = 1 + w.rng.IntN(5)
}
