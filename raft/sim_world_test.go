package raft

import (
	"cmp"
	"container/heap"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// simWorld runs a cluster in simulated time, from one seed.
//
// Everything that could come in another order on another day is an event here: that a message arrives, that a node's loop
// takes a turn, that its clock ticks, that a backend answers, that a request or its answer gets through, that something
// breaks. Events have a time, drawn from the seed, and happen one after the other. The goroutines of the nodes (their
// apply loops, calls of Propose and Read, forwarding, snapshots) are the real ones, in the bubble of synctest: they run
// while the world waits for all of them to be blocked, and whatever could make a difference to another waits at a gate
// for its event. So the same seed gives the same run.
type simWorld struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	start  time.Time
	plan   simPlan
	cheat  simCheat
	events simEvents
	made   uint64 // events

	nodes   []*simNode
	net     simNet
	ledger  simLedger
	probes  int
	damaged bool       // a backend was, behind its node's back
	calls   []*simCall // under way
	quiet   bool       // clients rest
	healed  bool
	lasts   []*simLast

	mu     sync.Mutex
	atGate []*simGate

	trace   io.Writer // nil: none
	digest  hashWriter
	failure error
}

type hashWriter interface {
	io.Writer
	Sum64() uint64
}

func newSimWorld(t *testing.T, seed uint64, dir string, cheat simCheat) *simWorld {
	w := &simWorld{
		t: t, seed: seed, cheat: cheat, start: time.Now(), digest: fnv.New64a(),
		rng: rand.New(rand.NewPCG(seed, 0x6e65787573)),
	}
	seedRaft(seed)
	w.plan = newSimPlan(w.rng, cheat)
	w.net, w.ledger = simNet{w: w, cut: make(map[[2]int]bool), lag: make(map[[2]int]time.Duration)}, newSimLedger(w)
	if os.Getenv("SIM_TRACE") != "" {
		w.trace = os.Stderr
	}
	w.note("plan %+v", w.plan)
	w.makeNodes(dir)
	return w
}

// simEvent is what happens at a time.
type simEvent struct {
	at time.Duration
	n  uint64 // of events at the same time, the one that was made first comes first
	do func()
}

type simEvents []simEvent

func (q simEvents) Len() int { return len(q) }
func (q simEvents) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].n < q[j].n
}
func (q simEvents) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simEvents) Push(e any)   { *q = append(*q, e.(simEvent)) }
func (q *simEvents) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = simEvent{}
	*q = (*q)[:last]
	return e
}

func (w *simWorld) now() time.Duration { return time.Since(w.start) }

// after makes an event.
func (w *simWorld) after(d time.Duration, do func()) {
	w.made++
	heap.Push(&w.events, simEvent{at: w.now() + d, n: w.made, do: do})
}

// run lets events happen until there is a failure, or done says so or time has come.
func (w *simWorld) run(until time.Duration, done func() bool) {
	for w.failure == nil && len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(simEvent)
		if d := e.at - w.now(); d > 0 {
			time.Sleep(d)
			synctest.Wait()
			w.settle()
		}
		e.do()
		synctest.Wait()
		w.settle()
		if done != nil && done() {
			return
		}
	}
}

// settle makes events of what the goroutines came to since the last one.
func (w *simWorld) settle() {
	w.mu.Lock()
	gates := w.atGate
	w.atGate = nil
	w.mu.Unlock()
	slices.SortFunc(gates, func(a, b *simGate) int {
		return cmp.Or(cmp.Compare(a.node.i, b.node.i), cmp.Compare(a.kind, b.kind), cmp.Compare(a.key, b.key))
	})
	for _, g := range gates {
		g.node.admit(g)
	}
	for _, n := range w.nodes {
		n.look()
	}
	w.collectCalls()
}

// violate ends the run: something happened that must never happen.
func (w *simWorld) violate(format string, args ...any) {
	if w.failure == nil {
		w.failure = fmt.Errorf(format, args...)
		w.note("violation")
	}
}

// note adds to the account of the run, which is equal for equal seeds.
func (w *simWorld) note(format string, args ...any) {
	fmt.Fprintf(w.digest, format, args...)
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%12v  %s\n", w.now(), fmt.Sprintf(format, args...))
	}
}

func (w *simWorld) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// between draws a time, short ones more often.
func (w *simWorld) between(least, most time.Duration) time.Duration {
	x := w.rng.Float64()
	return least + time.Duration(x*x*float64(most-least))
}

func (w *simWorld) pick(from []*simNode) *simNode {
	if len(from) == 0 {
		return nil
	}
	return from[w.rng.IntN(len(from))]
}

func (w *simWorld) logger() *slog.Logger {
	if w.trace != nil && os.Getenv("SIM_TRACE") == "2" {
		return slog.New(slog.NewTextHandler(w.trace, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
	}
	return slog.New(slog.DiscardHandler)
}
