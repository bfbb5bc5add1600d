package raft

import (
	"math/rand/v2"
	"slices"
	"testing"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

func never() int { return 0 }

func TestCampaign(t *testing.T) {
	seen := make(map[int]bool)
	for range 200 {
		c := campaign{draw: rand.IntN}
		for _, state := range []etcdraft.StateType{etcdraft.StateFollower, etcdraft.StateLeader} {
			if c.due(state, never) {
				t.Fatalf("a %v asks for votes", state)
			}
		}
		c.due(etcdraft.StatePreCandidate, never)
		if c.due(etcdraft.StateFollower, never) {
			t.Fatal("a follower asks for votes")
		}
		ticks := 0
		for c.due(etcdraft.StateCandidate, never); !c.due(etcdraft.StateCandidate, never); ticks++ {
			if ticks > maxCampaignTicks {
				t.Fatal("a candidate does not ask again")
			}
		}
		seen[ticks+1] = true
	}
	for ticks := minCampaignTicks; ticks <= maxCampaignTicks; ticks++ {
		if !seen[ticks] {
			t.Errorf("never after %d ticks: %v", ticks, seen)
		}
	}
	if len(seen) != maxCampaignTicks-minCampaignTicks+1 {
		t.Errorf("asked again after %v", seen)
	}
}

// A candidate whose answers take long leaves more and more time for them.
func TestCampaignAgain(t *testing.T) {
	c := campaign{draw: func(int) int { return 0 }}
	var waits []int
	for ticks := 0; len(waits) < 5; ticks++ {
		if c.due(etcdraft.StateCandidate, never) {
			waits = append(waits, ticks)
			ticks = -1
		}
	}
	if want := []int{2, 4, 8, 8, 8}; !slices.Equal(waits, want) {
		t.Errorf("asked again after %v ticks, want %v", waits, want)
	}
	c.due(etcdraft.StateFollower, never)
	if c.due(etcdraft.StateCandidate, never); c.ticks != minCampaignTicks {
		t.Errorf("%d ticks in the next election", c.ticks)
	}
}

// A follower asks for votes when its turn has come, once, unless it hears its leader before.
func TestCampaignTurn(t *testing.T) {
	c := campaign{draw: rand.IntN}
	turn := func() int { return 3 }
	follow := func(ticks int) (asked int) {
		for range ticks {
			if c.due(etcdraft.StateFollower, turn) {
				asked++
			}
		}
		return asked
	}
	if follow(2) != 0 {
		t.Error("asked before its turn")
	}
	c.hear(&raftpb.Message{Type: raftpb.MsgHeartbeat, Term: 5}, 5)
	if follow(2) != 0 {
		t.Error("asked though it has heard the leader")
	}
	c.hear(&raftpb.Message{Type: raftpb.MsgHeartbeat, Term: 4}, 5)
	c.hear(&raftpb.Message{Type: raftpb.MsgPreVote, Term: 6}, 5)
	if follow(10) != 1 {
		t.Error("did not ask once in its turn")
	}
}

// The members of a cluster take turns, those who could not lead are left out, and nobody asks before an election timeout
// has passed.
func TestCampaignTurns(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	leader := c.leader()
	turns := make(map[int]bool)
	turnOf := func(r *Replicator, silent int) (turn int) {
		done := make(chan int)
		r.mail.call(func() {
			before := r.campaign.silent
			r.campaign.silent = silent
			turn := r.campaignTurn()
			r.campaign.silent = before
			done <- turn
		})
		return <-done
	}
	for i, r := range c.nodes {
		eventually(t, "a leader everywhere", func() bool { return r.Status().Serving })
		if turn := turnOf(r, r.cfg.ElectionTicks-1); turn != 0 {
			t.Errorf("node %d has the turn %d within an election timeout", i, turn)
		}
		if i != leader {
			turns[turnOf(r, r.cfg.ElectionTicks)] = true
		}
	}
	if first := c.nodes[0].cfg.ElectionTicks + firstCampaignTicks; len(turns) != 2 || !turns[first] || !turns[first+nextCampaignTicks] {
		t.Errorf("the turns of the followers are %v", turns)
	}
	odd := (leader + 1) % 3
	c.nodes[odd].quarantined.Store(&quarantine{Index: 1})
	if turn := turnOf(c.nodes[odd], 100); turn != 0 {
		t.Errorf("a node out of service has the turn %d", turn)
	}
	c.nodes[odd].quarantined.Store(nil)
}

// A new cluster, which has had no leader, does not wait for an election timeout.
func TestFirstCampaign(t *testing.T) {
	c := newTestCluster(t, 3, func(cfg *Config) { cfg.ElectionTicks = 1_000_000 })
	c.propose(c.leader(), "k=v")
}
