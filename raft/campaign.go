package raft

import (
	"math/rand/v2"

	etcdraft "go.etcd.io/etcd/raft/v3"
)

const (
	// A candidate asks again after so many ticks, drawn anew each time.
	minCampaignTicks = 2
	maxCampaignTicks = 5
)

// campaign makes a candidate that is not elected ask again soon. Raft would wait for another election timeout, with
// which a fail-over takes twice as long whenever two members begin at about the same time and each votes for itself.
//
// It breaks no lease: a candidate has heard of no leader for an election timeout, and of none in its term.
type campaign struct {
	ticks int // left; 0 when the member is no candidate
}

// due reports, called once a tick, whether to ask again.
func (c *campaign) due(state etcdraft.StateType) bool {
	if state != etcdraft.StateCandidate {
		c.ticks = 0
		return false
	}
	if c.ticks == 0 {
		c.ticks = minCampaignTicks + rand.IntN(maxCampaignTicks-minCampaignTicks+1)
		return false
	}
	c.ticks--
	return c.ticks == 0
}
