package raft

import (
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
	to, term, now := r.bestSuccessor(), r.term.Load(), r.leaseClock()
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

// bestSuccessor returns the reachable voter with the longest log, or 0. Of those with the same log, the leader before this one
// is the last choice: it may have had its reasons to hand over. Loop only.
func (r *Replicator) bestSuccessor() uint64 {
	var best, match uint64
	r.node.WithProgress(func(id uint64, typ etcdraft.ProgressType, p tracker.Progress) {
		if id == r.identity.ID || typ == etcdraft.ProgressTypeLearner || !r.transport.active(id) {
			return
		}
		if best == 0 || p.Match > match || p.Match == match && best == r.formerLeader {
			best, match = id, p.Match
		}
	})
	return best
}
