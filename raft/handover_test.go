package raft

import (
	"context"
	"testing"
	"time"
)

// The first hand-overs in a row are at once, later ones wait longer and longer, within one term never.
func TestHandOversAreSpaced(t *testing.T) {
	var h handOvers
	now, term := time.Minute, uint64(5)
	for _, want := range []time.Duration{0, 0, 1, 2, 4, 4, 4} {
		want *= time.Second
		if want > 0 && !h.tooSoon(term, now+want-1) {
			t.Errorf("term %d may end before %v", term, want)
		}
		now += want
		if h.tooSoon(term, now) {
			t.Errorf("term %d does not end after %v", term, want)
		}
		h.note(term, now)
		if h.tooSoon(term, now) {
			t.Errorf("term %d does not end when it is asked for again", term)
		}
		term += 2
	}
}

// Who is asked to hand over prefers a member that serves to one that would hand over again.
func TestSuccessorServes(t *testing.T) {
	c := newTestCluster(t, 3, func(cfg *Config) { cfg.ElectionTicks = 1000 }) // none by chance
	leader := c.leader()
	first := c.nodes[leader]
	c.propose(leader, "k=v")
	c.converged()
	choose := func(serving map[uint64]bool) (to uint64) {
		if err := first.onLoop(t.Context(), func() error { to = first.bestSuccessor(serving); return nil }); err != nil {
			t.Fatal(err)
		}
		return to
	}
	able, lame := (leader+1)%3, (leader+2)%3
	ids := []uint64{c.nodes[able].identity.ID, c.nodes[lame].identity.ID}
	eventually(t, "whoever serves is preferred", func() bool {
		return choose(map[uint64]bool{ids[0]: true}) == ids[0] && choose(map[uint64]bool{ids[1]: true}) == ids[1]
	})
	switch choose(nil) { // where nobody is known to serve
	case ids[0]:
		able, lame = lame, able
	case 0:
		t.Fatal("nobody is chosen")
	}
	c.stores[lame].fail(errBackendDown)
	eventually(t, "a member that does not serve", func() bool { return !c.nodes[lame].Status().Serving })

	first.askServing = 40 * time.Second
	if err := first.TransferLeadership(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a leader that serves", func() bool {
		s := c.nodes[able].Status()
		return s.Role == "leader" && s.Serving
	})
	handedOver := func() (n int) {
		r := c.nodes[lame]
		if err := r.onLoop(t.Context(), func() error { n = r.handOvers.inRow; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := handedOver(); n > 0 {
		t.Errorf("the member that does not serve has led and handed over %d times", n)
	}
}

// A leader whose backend fails finds the one member that can serve, also if others were tried before.
func TestHandOverReachesWhoCanServe(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.count(3)
	able := (c.leader() + 1) % 3
	for i := range c.stores {
		if i != able {
			c.stores[i].fail(errBackendDown)
		}
	}
	eventually(t, "a leader that serves", func() bool {
		s := c.nodes[able].Status()
		return s.Role == "leader" && s.Serving
	})
	c.propose(able, "k=v")
}

// Where no member can serve, terms last, and the first that can again is found.
func TestHandOverWhereNobodyCanServe(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, 3, nil)
	c.count(3)
	for i := range c.stores {
		c.stores[i].fail(errBackendDown)
	}
	putOff := func(i int) (owed bool) {
		r := c.nodes[i]
		if err := r.onLoop(context.Background(), func() error { owed = r.leading && r.handOvers.owed; return nil }); err != nil {
			t.Error(err)
		}
		return owed
	}
	eventually(t, "a hand-over that is put off", func() bool { return putOff(0) || putOff(1) || putOff(2) })
	c.stores[1].fail(nil)
	eventually(t, "a leader that serves", func() bool {
		s := c.nodes[1].Status()
		return s.Role == "leader" && s.Serving
	})
	for i := range c.stores {
		c.stores[i].fail(nil)
	}
	c.converged()
}
