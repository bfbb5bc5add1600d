package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// step is one fault of a plan.
type step struct {
	fault *fault
	role  role
	after time.Duration // from the beginning of the load
	lasts time.Duration
	seed  uint64 // of the fault's own choices
}

func (s step) String() string {
	return fmt.Sprintf("%s(%s) at %v for %v", s.fault.name, s.role, s.after.Round(time.Millisecond), s.lasts.Round(time.Millisecond))
}

const (
	leadIn      = 400 * time.Millisecond // of normal work before the first fault
	between     = 300 * time.Millisecond
	episodesMax = 2
)

// plan makes up the faults of a round: one or two episodes, each of one fault or of two at a time. It depends on nothing
// but its arguments.
func plan(seed uint64, round int, possible []*fault) []step {
	rng := rand.New(rand.NewPCG(seed, uint64(round)))
	var steps []step
	at := leadIn
	for range 1 + rng.IntN(episodesMax) {
		first := choose(rng, possible, nil)
		chosen := []*fault{first}
		if rng.IntN(3) > 0 {
			if second := choose(rng, possible, first); second != nil {
				chosen = append(chosen, second)
			}
		}
		var ends time.Duration
		for _, f := range chosen {
			s := step{fault: f, role: roleFor(rng), seed: rng.Uint64()}
			s.after = at + time.Duration(rng.Int64N(int64(500*time.Millisecond)))
			s.lasts = f.least + time.Duration(rng.Int64N(int64(f.most-f.least)))
			ends = max(ends, s.after+s.lasts)
			steps = append(steps, s)
		}
		at = ends + between + time.Duration(rng.Int64N(int64(time.Second)))
	}
	return steps
}

// choose draws a fault, of another group than that of beside; nil if there is none.
func choose(rng *rand.Rand, possible []*fault, beside *fault) *fault {
	var weights int
	fits := slices.DeleteFunc(slices.Clone(possible), func(f *fault) bool { return beside != nil && f.group == beside.group })
	for _, f := range fits {
		weights += f.weight
	}
	if weights == 0 {
		return nil
	}
	at := rng.IntN(weights)
	for _, f := range fits {
		if at -= f.weight; at < 0 {
			return f
		}
	}
	panic("faults: weights do not add up")
}

func roleFor(rng *rand.Rand) role {
	return []role{leader, leader, follower, anyone}[rng.IntN(4)]
}
