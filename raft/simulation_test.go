package raft

import "testing"

// A seed is worth nothing if it does not give the same run again.
func TestSimulationRepeats(t *testing.T) {
	for seed := range uint64(20) {
		first, second := simulate(t, seed, simCheat{}), simulate(t, seed, simCheat{})
		if a, b := first.digest.Sum64(), second.digest.Sum64(); a != b {
			t.Fatalf("seed %d gave two different runs, of %d and %d events", seed, first.made, second.made)
		}
	}
}
