package raft

import (
	"flag"
	"testing"
	"time"
)

var (
	simRounds = flag.Int("sim.rounds", simDefaultRounds, "runs of TestSimulation")
	simSeed   = flag.Uint64("sim.seed", 0, "seed of the first run of TestSimulation; 0: a new one")
)

// TestSimulation runs clusters in simulated time, with faults, each from a seed of its own. It prints the seed of a run
// that fails; -sim.seed repeats it, exactly. SIM_TRACE=1 in the environment prints what happens, SIM_TRACE=2 with the
// nodes' own messages.
func TestSimulation(t *testing.T) {
	seed := *simSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 1_000_000_000
	}
	var writes, reads int
	var events uint64
	for i := range *simRounds {
		w := simulate(t, seed+uint64(i), simCheat{})
		if w.failure != nil {
			t.Fatalf("run %d: %v\nto see it again: go test ./raft -run 'TestSimulation$' -sim.rounds 1 -sim.seed %d", i+1, w.failure, w.seed)
		}
		writes, reads, events = writes+w.ledger.writes, reads+w.ledger.reads, events+w.made
	}
	t.Logf("%d runs from seed %d: %d events, %d writes and %d reads answered", *simRounds, seed, events, writes, reads)
}

// A seed is worth nothing if it does not give the same run again.
func TestSimulationRepeats(t *testing.T) {
	for seed := range uint64(20) {
		first, second := simulate(t, seed, simCheat{}), simulate(t, seed, simCheat{})
		if a, b := first.digest.Sum64(), second.digest.Sum64(); a != b {
			t.Fatalf("seed %d gave two different runs, of %d and %d events", seed, first.made, second.made)
		}
	}
}
