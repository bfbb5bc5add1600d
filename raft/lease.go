package raft

import (
	"sync/atomic"
	"time"
)

// lease is the leader's right to answer reads without asking a quorum.
//
// A round of heartbeats started at t0 and acknowledged by a quorum proves that each member of that quorum heard this
// leader after t0. With CheckQuorum and PreVote none of them helps to elect another leader for ElectionTicks of its own
// clock after that, so no other leader can exist before t0 plus that time. Three things would break this, and are
// taken care of elsewhere: a leadership transfer (elections by it ignore the promise: no lease is used in the rest of a
// term in which one was started), a member that restarts and forgets the promise (it takes no part in elections for an
// election timeout after a start), and a paused process (the lease is checked again after the backend has answered).
type lease struct {
	clock   func() time.Duration // the leaseClock of the Replicator
	current atomic.Pointer[leaseTerm]
}

type leaseTerm struct {
	term  uint64
	until time.Duration // on leaseClock
}

// leaseLength is how long after the start of a round its lease holds: an election timeout, less two ticks (a member's
// clock advances in ticks, of which one may be due at once and one late), less a tenth for clocks that run at different
// rates.
func leaseLength(cfg *Config) time.Duration {
	return time.Duration(cfg.ElectionTicks-2) * cfg.Tick * 9 / 10
}

func (l *lease) renew(term uint64, until time.Duration) {
	l.current.Store(&leaseTerm{term: term, until: until})
}

func (l *lease) drop() { l.current.Store(nil) }

// ofTerm returns the term of the last lease, which may have run out.
func (l *lease) ofTerm() (term uint64, ok bool) {
	t := l.current.Load()
	if t == nil {
		return 0, false
	}
	return t.term, true
}

// holds returns the term in which the lease holds now.
func (l *lease) holds() (term uint64, ok bool) {
	t := l.current.Load()
	if t == nil || l.clock() >= t.until {
		return 0, false
	}
	return t.term, true
}

func (l *lease) remaining() time.Duration {
	t := l.current.Load()
	if t == nil {
		return 0
	}
	return max(0, t.until-l.clock())
}
