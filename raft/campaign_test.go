package raft

import (
	"testing"

	etcdraft "go.etcd.io/etcd/raft/v3"
)

func TestCampaign(t *testing.T) {
	seen := make(map[int]bool)
	for range 200 {
		var c campaign
		for _, state := range []etcdraft.StateType{etcdraft.StateFollower, etcdraft.StatePreCandidate, etcdraft.StateLeader} {
			if c.due(state) {
				t.Fatalf("a %v asks for votes", state)
			}
		}
		c.due(etcdraft.StateCandidate)
		if c.due(etcdraft.StateFollower) {
			t.Fatal("a follower asks for votes")
		}
		ticks := 0
		for c.due(etcdraft.StateCandidate); !c.due(etcdraft.StateCandidate); ticks++ {
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
