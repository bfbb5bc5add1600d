package main

import (
	"context"
	"slices"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// lag is how long ago the log was committed on the leader that the backends of the others have come to.
type lag struct {
	nodes   []*cluster.Node
	commits []commit
	found   []time.Duration // of each follower at each look
}

// commit is how far the log was committed at a time.
type commit struct {
	at    time.Time
	index uint64
}

// look asks all nodes. One that does not answer is not looked at.
func (l *lag) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	now := time.Now()
	var applied []uint64
	var newest uint64
	for _, n := range l.nodes {
		st, err := n.Status(ctx)
		if err != nil {
			continue
		}
		applied = append(applied, st.GetApplied())
		newest = max(newest, st.GetCommit())
	}
	l.commits = append(l.commits, commit{now, newest})
	for _, index := range applied {
		l.found = append(l.found, l.behind(index, now))
	}
	// What all have is of no use any more.
	if len(applied) > 0 {
		least := slices.Min(applied)
		l.commits = slices.DeleteFunc(l.commits, func(c commit) bool { return c.index <= least })
	}
}

// behind is how long ago, at most, the first thing was committed that is not applied yet.
func (l *lag) behind(applied uint64, now time.Time) time.Duration {
	for _, c := range l.commits {
		if c.index > applied {
			return now.Sub(c.at) + lagEvery // it was committed after the look before
		}
	}
	return 0
}

// most returns the longest lag, and the one that only one look in a hundred exceeds.
func (l *lag) most() (longest, usual time.Duration) {
	if len(l.found) == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(l.found))
	return sorted[len(sorted)-1], sorted[len(sorted)*99/100]
}
