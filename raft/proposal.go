package raft

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The life of a proposal. It is offered to one leader in one term at a time; if an entry of a later term is applied
// before it, it never will be committed (the terms of a log never decrease), and it goes back to the queue. That is how
// a write survives a change of leader without being executed twice and without the client having to ask again.
const (
	proposalQueued    uint32 = iota // certainly in no log
	proposalOffered                 // may be in a log
	proposalDone                    // the outcome is there
	proposalAbandoned               // nobody waits any more
)

// proposal is the commands of one Propose call on their way, or those that another node handed over to this leader.
type proposal struct {
	group
	bytes int
	state atomic.Uint32
	term  uint64 // in which it was offered; guarded by pendingSet.mu

	// done receives once, after outcome or failed was set.
	done    chan struct{}
	outcome Outcome
	failed  error // instead of an outcome

	// arrived is when it came to the node whose call it is.
	arrived arrival

	wait *wait  // of one that may have to wait, on the node whose call it is
	link string // of one that may have to wait and that another node handed over: see waitLink

	// verdict, for one that another node handed over, says whether it was put into this leader's log in handedTerm.
	verdict    chan bool
	handedTerm uint64
}

// refuse answers for a proposal that another node handed over and that is in no log.
func (p *proposal) refuse() {
	p.state.Store(proposalAbandoned)
	p.verdict <- false
}

// pendingSet holds this node's own proposals that were offered, by id.
type pendingSet struct {
	came awaited
	mu   sync.Mutex
	byID map[uint64]*proposal
}

func (s *pendingSet) add(p *proposal, term uint64) {
	s.mu.Lock()
	p.term = term
	s.byID[p.id] = p
	s.mu.Unlock()
	s.came.note()
}

func (s *pendingSet) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID) == 0
}

func (s *pendingSet) has(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id] != nil
}

// take removes and returns the proposal called id, or nil.
func (s *pendingSet) take(id uint64) *proposal {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.byID[id]
	delete(s.byID, id)
	return p
}

// takeOffer removes p if its present offer is the one made in term.
func (s *pendingSet) takeOffer(p *proposal, term uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[p.id] != p || p.term != term {
		return false
	}
	delete(s.byID, p.id)
	return true
}

// takeBefore removes and returns those offered in a term before term, in the order in which they were proposed.
func (s *pendingSet) takeBefore(term uint64) []*proposal {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lost []*proposal
	for id, p := range s.byID {
		if p.term < term {
			lost = append(lost, p)
			delete(s.byID, id)
		}
	}
	slices.SortFunc(lost, func(a, b *proposal) int { return cmp.Compare(a.id, b.id) })
	return lost
}

// Propose replicates cmds and returns when they are committed and applied to this node's backend. They stand together
// and in order in one entry. Without commands it is a barrier: it gives the leader's Sequencer an occasion to act, and
// returns when that is applied here.
//
// It may be called on any member: a follower hands cmds to the leader. While there is no leader, and when a leader is
// lost before it committed cmds, Propose tries again for as long as ctx and Config.Timeout allow.
//
// Where no leader has been known for longer than an election takes, what is in no log yet is refused at once.
//
// Errors wrap ErrNotDone, ErrOutcomeUnknown, ErrTooLarge or ErrStopped; those but ErrOutcomeUnknown mean that cmds were
// not and will not be executed. After an error the caller must not reuse the memory of cmds.
func (r *Replicator) Propose(ctx context.Context, cmds [][]byte) (Outcome, error) {
	return r.ProposeArrived(ctx, time.Time{}, cmds)
}

// ProposeArrived is Propose for commands that came to this process at a known time, which has to be one with a monotonic
// clock reading, as time.Now gives it. Of what several callers propose at the same time, that which came first is put
// into the log first, as far as it is there. The zero time says nothing.
func (r *Replicator) ProposeArrived(ctx context.Context, arrived time.Time, cmds [][]byte) (Outcome, error) {
	if err := r.refusal(); err != nil {
		return Outcome{}, fmt.Errorf("%w: %w", ErrNotDone, err)
	}
	p := &proposal{
		group:   group{origin: r.identity.ID, id: r.newID(), cmds: make([]Command, len(cmds))},
		done:    make(chan struct{}, 1),
		arrived: r.arrivalOf(arrived),
	}
	for i, data := range cmds {
		p.cmds[i].Data = data
	}
	if err := r.admit(p); err != nil {
		return Outcome{}, err
	}
	defer r.pendingBytes.Add(-int64(p.bytes))

	begun := time.Now()
	outcome, err := r.settleWithin(ctx, p)
	r.metrics.proposed(begun, err)
	return outcome, err
}

// admit counts p among what waits on this node, until the caller takes p.bytes off pendingBytes again.
func (r *Replicator) admit(p *proposal) error {
	p.bytes = p.size()
	if p.bytes > r.cfg.MaxProposalBytes {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, p.bytes, r.cfg.MaxProposalBytes)
	}
	if r.pendingBytes.Add(int64(p.bytes)) > int64(r.cfg.MaxPendingBytes) {
		r.pendingBytes.Add(-int64(p.bytes))
		return fmt.Errorf("%w: more than %d bytes of writes are waiting on this node", ErrNotDone, r.cfg.MaxPendingBytes)
	}
	return nil
}

// settleWithin hands p to the loop and waits for its outcome.
func (r *Replicator) settleWithin(ctx context.Context, p *proposal) (Outcome, error) {
	r.mail.propose(p)
	timer := time.NewTimer(r.cfg.Timeout + Allowance(p.bytes))
	defer timer.Stop()
	for {
		select {
		case <-p.done:
			return p.outcome, p.failed
		case <-ctx.Done():
			return r.giveUp(p, r.late(ctx))
		case <-timer.C:
			if !r.storeIsBusy() {
				return r.giveUp(p, r.unanswered())
			}
			timer.Reset(r.cfg.Timeout)
		case <-r.ctx.Done():
			return r.giveUp(p, r.stopCause())
		}
	}
}

// giveUp ends the wait for p and says what is known about it.
func (r *Replicator) giveUp(p *proposal, why error) (Outcome, error) {
	for {
		switch state := p.state.Load(); state {
		case proposalQueued:
			if p.state.CompareAndSwap(state, proposalAbandoned) {
				return Outcome{}, fmt.Errorf("%w: %w", ErrNotDone, why)
			}
		case proposalOffered:
			if p.state.CompareAndSwap(state, proposalAbandoned) {
				r.pending.take(p.id)
				return Outcome{}, fmt.Errorf("%w: %w", ErrOutcomeUnknown, why)
			}
		default:
			<-p.done
			return p.outcome, p.failed
		}
	}
}

// offer marks p as possibly in the log of the leader of term. False: nobody waits for it any more.
func (r *Replicator) offer(p *proposal, term uint64) bool {
	// Registered first: the entry may be applied as soon as a leader has it.
	r.pending.add(p, term)
	if !p.isEnding() && p.state.CompareAndSwap(proposalQueued, proposalOffered) {
		return true
	}
	r.pending.take(p.id)
	return false
}

// withdraw takes back the offer of p in term, which is certainly in no log. False: nobody waits for it any more, or it
// was offered again in a later term.
func (r *Replicator) withdraw(p *proposal, term uint64) bool {
	return r.pending.takeOffer(p, term) && p.state.CompareAndSwap(proposalOffered, proposalQueued)
}

// complete hands the outcome of an applied group to the Propose call that waits for it on this node, if there is one.
func (r *Replicator) complete(id uint64, outcome Outcome) {
	p := r.pending.take(id)
	if p == nil || !p.state.CompareAndSwap(proposalOffered, proposalDone) {
		return
	}
	p.outcome = outcome
	p.done <- struct{}{}
}

// requeueLost gives the proposals that can no longer be committed, because an entry of term was applied, another try.
func (r *Replicator) requeueLost(term uint64) {
	lost := r.pending.takeBefore(term)
	kept := lost[:0]
	for _, p := range lost {
		if p.isEnding() {
			r.settleEnding(p)
			continue
		}
		if p.state.CompareAndSwap(proposalOffered, proposalQueued) {
			kept = append(kept, p)
		}
	}
	if len(kept) > 0 {
		// In the order in which they came: those who wait are served in it.
		slices.SortFunc(kept, func(a, b *proposal) int { return cmp.Compare(a.id&^kindMask, b.id&^kindMask) })
		r.mail.propose(kept...)
	}
}
