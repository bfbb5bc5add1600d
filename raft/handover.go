package raft

import (
	"context"
	"sync"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/tracker"
)

const (
	// quickHandOvers in a row are not waited with: a member that can serve may be the next but one.
	quickHandOvers = 2
	// longestOffice is how long a leader that cannot serve keeps its office at most, where its successors could not serve either.
	longestOffice = 4 * time.Second
)

// handOvers are the terms in a row which this node has ended because it could not serve. Members of which none can would take
// turns in office for as long as that lasts, with an election and an entry for each turn.
type handOvers struct {
	inRow int
	term  uint64        // of the last one
	at    time.Duration // of the last one, on leaseClock
	owed  bool          // one is due, and was put off
}

// tooSoon reports whether a term is to last longer.
func (h *handOvers) tooSoon(term uint64, now time.Duration) bool {
	if h.inRow < quickHandOvers || h.term == term {
		return false
	}
	pause := min(time.Second<<min(h.inRow-quickHandOvers, 4), longestOffice)
	return now-h.at < pause
}

func (h *handOvers) note(term uint64, now time.Duration) {
	if h.term != term {
		h.inRow++
	}
	h.term, h.at, h.owed = term, now, false
}

// handOver makes another member the leader, because this one cannot serve. Loop only.
func (r *Replicator) handOver() {
	if !r.leading {
		return
	}
	to, term, now := r.bestSuccessor(nil), r.term.Load(), r.leaseClock()
	if to == 0 || r.handOvers.tooSoon(term, now) {
		r.handOvers.owed = true
		return
	}
	r.handOvers.note(term, now)
	r.log.Warn("handing over leadership", "to", r.membership.name(to))
	r.startTransfer(to)
}

// tickHandOver does what was put off, or forgets about it: this node can serve again. Loop only.
func (r *Replicator) tickHandOver() {
	switch {
	case r.refusal() == nil:
		r.handOvers = handOvers{}
	case r.handOvers.owed:
		r.handOver()
	}
}

// bestSuccessor returns the reachable voter with the longest log, or 0: one of those that serve, if there is one whose log grows
// with that of this node. Of those with the same log, the leader before this one is the last choice: it may have had its reasons
// to hand over. Loop only.
func (r *Replicator) bestSuccessor(serving map[uint64]bool) uint64 {
	var best, match uint64
	able := false
	r.node.WithProgress(func(id uint64, typ etcdraft.ProgressType, p tracker.Progress) {
		if id == r.identity.ID || typ == etcdraft.ProgressTypeLearner || !r.transport.active(id) {
			return
		}
		ready := serving[id] && p.State == tracker.StateReplicate
		switch {
		case best == 0, ready && !able:
		case able && !ready:
			return
		case p.Match < match, p.Match == match && best != r.formerLeader:
			return
		}
		best, match, able = id, p.Match, ready
	})
	return best
}

// askServing is how long the others are asked whether they serve, before one of them is chosen, but no longer than a third of the
// time that there is.
const askServing = time.Second

// others asks the other voters how they are, and returns those of whom is is true. It is for a preference only: who does not answer in
// time is not among them.
func (r *Replicator) others(ctx context.Context, is func(Status) bool) map[uint64]bool {
	patience := r.askServing
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline)/3)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	members := r.Members()
	yes := make([]bool, len(members))
	var asking sync.WaitGroup
	for i, m := range members {
		if m.ID != r.identity.ID && !m.Learner {
			asking.Go(func() { yes[i] = is(r.askReport(ctx, m).Status) })
		}
	}
	asking.Wait()
	found := make(map[uint64]bool)
	for i, m := range members {
		found[m.ID] = yes[i]
	}
	return found
}
