package raft

import (
	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

const (
	// A candidate asks again after so many ticks, drawn anew each time; after twice as many the second time, and so on a
	// few times: answers that take longer than that must count as well.
	minCampaignTicks = 2
	maxCampaignTicks = 5
	campaignDoubles  = 2
	// A member that has heard nothing of its leader for an election timeout, after which others may vote again, asks for
	// their votes after this many more ticks, and the next one in the order of ids so many later.
	firstCampaignTicks = 2
	nextCampaignTicks  = 3

	// firstTerm is that of the entries with which a log begins. Nobody leads in it.
	firstTerm = 1
)

// campaign makes members ask for votes sooner than raft would.
//
// Raft draws the time until an election from one to two election timeouts, so that members do not ask at the same time.
// Here they take turns, which leaves the others' time for the election itself. And a candidate that is not elected asks
// again soon, where raft would wait for another election timeout.
//
// It breaks no lease: who asks has heard of no leader for an election timeout, and asks first, by PreVote, whether the
// others have not either. Members of a new cluster, which has had no leader, ask as soon as they run.
type campaign struct {
	draw   func(n int) int
	ticks  int // left; 0 when the member is no candidate
	tries  int // since it is one
	silent int // ticks since the leader was heard
}

// hear takes note of a message. What only a leader sends in this term or a later one ends the silence.
func (c *campaign) hear(m *raftpb.Message, term uint64) {
	if m.Type == raftpb.MsgApp || m.Type == raftpb.MsgHeartbeat || m.Type == raftpb.MsgSnap {
		if m.Term >= term {
			c.silent = 0
		}
	}
}

// due reports, called once a tick, whether to ask for votes. turn is after how many silent ticks a follower may; 0 leaves
// it to raft.
func (c *campaign) due(state etcdraft.StateType, turn func() int) bool {
	switch state {
	case etcdraft.StateFollower:
		c.ticks, c.tries = 0, 0
		c.silent++
		return c.silent == turn()
	case etcdraft.StateCandidate, etcdraft.StatePreCandidate:
		return c.again()
	default:
		c.ticks, c.tries, c.silent = 0, 0, 0
		return false
	}
}

// again reports whether a candidate is to ask once more.
func (c *campaign) again() bool {
	if c.ticks == 0 {
		c.ticks = (minCampaignTicks + c.draw(maxCampaignTicks-minCampaignTicks+1)) << min(c.tries, campaignDoubles)
		c.tries++
		return false
	}
	c.ticks--
	return c.ticks == 0
}

// campaignTurn is after how many ticks without a word of the leader this member asks for votes, or 0 if that is left to
// raft: it has no vote, it knows of no leader that it could miss, or it could not serve as one, or not soon. Loop only.
func (r *Replicator) campaignTurn() int {
	leader, patience := r.leader.Load(), r.cfg.ElectionTicks
	if leader == 0 {
		if r.term.Load() != firstTerm {
			return 0
		}
		patience = 0 // there was none
	}
	if r.campaign.silent < patience || r.refusal() != nil || r.storeIsBusy() {
		return 0
	}
	turn := patience + firstCampaignTicks
	for _, m := range r.membership.list() {
		switch {
		case m.Learner || m.ID == leader:
		case m.ID == r.identity.ID:
			return turn
		default:
			turn += nextCampaignTicks
		}
	}
	return 0
}
