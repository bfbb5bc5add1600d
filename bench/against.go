package main

import (
	"context"
	"strings"
)

// ofOther marks a system that is started with the programs of -against.
const ofOther = " of the other version"

// addOthers adds to each system of nodes the same one of the other version: what two versions cost can be compared only
// where they take turns, as what else the machine does is never the same for long.
func (g *group) addOthers() {
	for i := range g.cases {
		c := &g.cases[i]
		var both []entrant
		for _, en := range c.systems {
			both = append(both, en)
			if strings.HasPrefix(en.system, "nexus-") {
				en.name, en.system = en.name+", other", en.system+ofOther
				both = append(both, en)
			}
		}
		c.systems = both
	}
}

// startSystem starts one with the programs of the version that it is of.
func (r *runner) startSystem(ctx context.Context, e *env, name string) (*system, error) {
	known, other := strings.CutSuffix(name, ofOther)
	if !other {
		return starters[name](ctx, e)
	}
	of := *e
	of.bin = r.against
	return starters[known](ctx, &of)
}
