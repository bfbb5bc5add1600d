package raft

import (
	"strings"
	"testing"
	"time"
)

// laboriousStore is busy, and says with what, for as long as it hangs, but for moments.
type laboriousStore struct{ *mapStore }

func (s laboriousStore) Busy() bool {
	return s.labours() && time.Now().Nanosecond() > int(300*time.Millisecond)
}

func (s laboriousStore) labours() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hung != nil
}

func (s laboriousStore) Executing() (string, string, time.Time) {
	if s.labours() {
		return "a long labour", "a client", time.Now().Add(-time.Hour)
	}
	return "", "", time.Time{}
}

// leaveArrears stops a leader that has applied what the others are busy with, and have only begun. It returns the others and
// what ends their work.
func leaveArrears(c *testCluster, entries int) (heirs []int, release map[int]func()) {
	c.t.Helper()
	leader := c.leader()
	c.propose(leader, "k=1")
	c.converged()
	release = make(map[int]func())
	for i := range c.nodes {
		if i != leader {
			heirs = append(heirs, i)
			release[i] = c.stores[i].hang()
		}
	}
	for range entries {
		c.propose(leader, "k=2")
	}
	commit := c.nodes[leader].Status().Commit
	eventually(c.t, "the entries on all members", func() bool {
		return c.nodes[heirs[0]].Status().Commit >= commit && c.nodes[heirs[1]].Status().Commit >= commit
	})
	c.stop(leader)
	return heirs, release
}

// elected waits until both heirs know who of them leads, and returns that one, the other, and the term.
func elected(c *testCluster, heirs []int) (leader, other int, term uint64) {
	c.t.Helper()
	eventually(c.t, "a successor", func() bool {
		a, b := c.nodes[heirs[0]].Status(), c.nodes[heirs[1]].Status()
		leader, other, term = heirs[0], heirs[1], a.Term
		if a.Leader == b.ID {
			leader, other = other, leader
		}
		return a.Term == b.Term && a.Leader == b.Leader && (a.Leader == a.ID || a.Leader == b.ID)
	})
	return leader, other, term
}

// Members that are equally behind do not take turns in office, however many entries are left.
func TestEquallyBusyMembersDoNotTakeTurns(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, 3, func(cfg *Config) {
		unhurried(cfg)
		cfg.MaxApplyLag, cfg.Store = 2*busyLag, laboriousStore{cfg.Store.(*mapStore)}
	})
	heirs, release := leaveArrears(c, 5)
	_, other, term := elected(c, heirs)
	time.Sleep(2*applyStall + 2*time.Second) // longer than a hand-over takes
	if _, _, now := elected(c, heirs); now != term {
		t.Errorf("the members have gone from term %d to %d while none could serve", term, now)
	}
	s, ok := c.nodes[other].AskLeader(t.Context())
	if e := s.Executing; !ok || e == nil || e.Of != "a client" || strings.Contains(s.Problem, e.Of) {
		t.Errorf("the leader executes %+v, and says %q", e, s.Problem)
	}
	for _, want := range []string{"this node was elected and has yet to apply what was left", "a long labour for 1h0m"} {
		if s.Serving || !strings.Contains(s.Problem, want) {
			t.Errorf("the leader says %q, serving %t, want %q", s.Problem, s.Serving, want)
		}
	}
	for _, r := range release {
		r()
	}
	c.propose(c.leader(), "k=3")
}

// A member that is through gets the office from one that is not, though that one is as busy as any.
func TestOfficeGoesToWhoIsThrough(t *testing.T) {
	c := newTestCluster(t, 3, func(cfg *Config) { cfg.Store = laboriousStore{cfg.Store.(*mapStore)} })
	heirs, release := leaveArrears(c, 1)
	leader, other, _ := elected(c, heirs)
	defer release[leader]()
	release[other]()
	eventually(t, "the member that is through to lead", func() bool {
		s := c.nodes[other].Status()
		return s.Role == "leader" && s.Serving
	})
	c.propose(other, "k=3")
}

// A majority has applied what the slower half has not.
func TestAppliedByMajority(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	leader := c.leader()
	c.propose(leader, "k=1")
	c.converged()
	before := c.nodes[leader].Status().Applied
	one, other := (leader+1)%3, (leader+2)%3
	defer c.stores[one].hang()()
	c.propose(leader, "k=2")
	majority := func() uint64 { return c.nodes[leader].AppliedByMajority(t.Context()) }
	eventually(t, "two of three to have it", func() bool { return majority() > before })
	now := majority()
	defer c.stores[other].hang()()
	c.propose(leader, "k=3")
	if got := majority(); got > now {
		t.Errorf("%d is said to be applied by a majority, which hangs at %d", got, now)
	}
}
