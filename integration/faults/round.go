package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/nexus-replication/nexus/integration/cluster"
)

const (
	// recovery is how long a cluster may take, when everything is mended, until each node serves.
	recovery = 40 * time.Second
	// leadOut is of normal work after that.
	leadOut = 300 * time.Millisecond
	// checking is how long the checker may think about one history.
	checking = 20 * time.Second
)

// result of a round.
type result struct {
	seed      uint64
	round     int
	steps     []step
	whats     []string // what each step has chosen
	tally     tally
	undecided int
	gap       time.Duration // longest time without an acknowledged write
	recovered time.Duration // from mended to all nodes serving
	took      time.Duration
	problems  []string
	verdicts  []verdict
}

func (r *result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "round %d of seed %d: %v; %v longest gap, recovered in %v, took %v", r.round, r.seed, r.tally,
		r.gap.Round(10*time.Millisecond), r.recovered.Round(10*time.Millisecond), r.took.Round(10*time.Millisecond))
	if r.undecided > 0 {
		fmt.Fprintf(&b, "; %d histories UNDECIDED", r.undecided)
	}
	for i, s := range r.steps {
		fmt.Fprintf(&b, "\n  %v: %s", s, r.whats[i])
	}
	for _, p := range r.problems {
		fmt.Fprintf(&b, "\n  PROBLEM: %s", p)
	}
	return b.String()
}

// runRound lets the faults of a plan happen to a cluster that serves, and judges what came of it.
func runRound(ctx context.Context, l *lab, seed uint64, round int, steps []step, patience time.Duration) *result {
	r := &result{seed: seed, round: round, steps: steps, whats: make([]string, len(steps))}
	begin := time.Now()
	defer func() { r.took = time.Since(begin) }()
	var mu sync.Mutex
	problem := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		r.problems = append(r.problems, text)
	}

	load := startLoad(ctx, l.Nodes, round, seed^uint64(round), patience)
	watchCtx, endWatch := context.WithCancel(ctx)
	var watching, faults sync.WaitGroup
	watching.Go(func() { l.watch(watchCtx, problem) })
	for i, s := range steps {
		faults.Go(func() {
			sleep(ctx, s.after)
			what, err := s.fault.run(ctx, l, s, rand.New(rand.NewPCG(s.seed, 0)))
			r.whats[i] = what
			if err != nil {
				problem(fmt.Sprintf("%s: %v", s.fault.name, err))
			}
		})
	}
	faults.Wait()
	endWatch()
	watching.Wait()
	if err := l.mend(); err != nil {
		problem(fmt.Sprintf("mend: %v", err))
	}
	mended := time.Now()
	recoverCtx, cancel := until(ctx, recovery)
	defer cancel()
	if err := l.AwaitReady(recoverCtx); err != nil {
		problem(fmt.Sprintf("not recovered after %v: %v", recovery, err))
	}
	r.recovered = time.Since(mended)
	sleep(ctx, leadOut)
	load.finish()
	r.conclude(ctx, l, load)
	return r
}

// conclude judges a round when its load has ended.
func (r *result) conclude(ctx context.Context, l *lab, load *load) {
	ctx, cancel := until(ctx, recovery)
	defer cancel()
	if err := load.readLast(ctx, l.Nodes[r.round%len(l.Nodes)]); err != nil {
		r.problems = append(r.problems, fmt.Sprintf("last reads: %v", err))
	}
	load.history.close()
	state, err := l.AwaitEqual(ctx)
	if err != nil {
		r.problems = append(r.problems, err.Error())
	} else {
		r.problems = append(r.problems, load.history.missing(state)...)
	}
	r.verdicts = load.history.check(checking)
	for _, v := range r.verdicts {
		switch v.result {
		case porcupine.Illegal:
			r.problems = append(r.problems, fmt.Sprintf("%s: the history is not linearizable", v.subject.key))
		case porcupine.Unknown:
			r.undecided++
		}
	}
	r.problems = append(r.problems, load.history.problems...)
	r.tally, r.gap = load.history.tally, load.history.gap
}

// missing looks for acknowledged list elements in what all backends hold.
func (h *history) missing(state cluster.State) []string {
	var problems []string
	for key, values := range h.appended {
		held := strings.Split(strings.TrimPrefix(state["0/"+key], "list deadline -1 value "), " ")
		for _, v := range values {
			if !slices.Contains(held, fmt.Sprintf("%q", v)) {
				problems = append(problems, fmt.Sprintf("%s: acknowledged element %s is lost", key, v))
			}
		}
	}
	return problems
}
