package raft

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
)

// readRound is one question to a quorum, "am I still (is it still) the leader, and how far is the log committed?",
// asked for all readers that wait.
type readRound struct {
	done   chan struct{} // closed when index or failed is set
	index  uint64
	failed error

	// Owned by the loop.
	id     uint64 // fresh for every try: a late answer to an earlier try proves nothing about this one
	term   uint64
	leader uint64        // raft drops a request while there is none
	asked  time.Duration // on leaseClock
}

// readRetryTicks is how long a try of a round may take.
const readRetryTicks = 5

// Read calls fn when the local backend holds every write that was acknowledged, by any node, before Read was called.
// fn is called once more if, with a lease, it turns out afterwards that the lease had run out meanwhile: what fn read
// must be used only if Read returns nil.
//
// Errors of fn are returned as they are; others wrap ErrNotDone or ErrStopped.
func (r *Replicator) Read(ctx context.Context, fn func(context.Context) error) error {
	if err := r.refusal(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotDone, err)
	}
	if r.cfg.LeaseReads {
		if done, err := r.readByLease(ctx, fn); done {
			r.metrics.leaseReads.Inc()
			return err
		}
	}
	ctx, cancel := r.within(ctx)
	defer cancel()
	round := r.mail.joinRead()
	select {
	case <-round.done:
		if round.failed != nil {
			return round.failed
		}
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotDone, r.late(ctx))
	case <-r.ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotDone, r.stopCause())
	}
	if err := r.waitApplied(ctx, round.index); err != nil {
		return err
	}
	return fn(ctx)
}

// readByLease reports done=false if there is no lease, or if it ended before fn did.
func (r *Replicator) readByLease(ctx context.Context, fn func(context.Context) error) (done bool, err error) {
	// Whether it holds is looked at once, in the end, as the clock is a call of the kernel: a lease of the same term that
	// holds then proves that nobody has led in a later term up to then.
	term, ok := r.lease.ofTerm()
	if !ok {
		return false, nil
	}
	// Loaded after the term: nothing else can have been committed up to then.
	index := r.commit.Load()
	if r.applied.Load() < index {
		waitCtx, cancel := r.within(ctx)
		defer cancel()
		if err := r.waitApplied(waitCtx, index); err != nil {
			return true, err
		}
	}
	err = fn(ctx)
	if now, ok := r.lease.holds(); !ok || now != term {
		return false, nil
	}
	return true, err
}

// startRead asks for the waiting round, if none is under way, and asks again where an answer is overdue. Leader and
// term are checked again when the answer comes.
func (r *Replicator) startRead(next *readRound) {
	if r.leaderless.known {
		r.refuseReads(next)
		return
	}
	if r.round == nil {
		if next == nil && r.leaseDue() {
			next = &readRound{done: make(chan struct{})}
		}
		if next == nil {
			return
		}
		r.round = next
		r.askRead()
		return
	}
	overdue := r.leaseClock()-r.round.asked > readRetryTicks*r.cfg.Tick
	leader := r.leader.Load()
	if overdue || r.round.term != r.term.Load() || leader != 0 && r.round.leader != leader {
		r.askRead()
	}
}

func (r *Replicator) askRead() {
	r.readID++
	status := r.node.BasicStatus()
	r.round.id, r.round.term, r.round.leader, r.round.asked = r.readID, status.Term, status.Lead, r.leaseClock()
	// The id of the node makes the request different from those of others, which the leader keeps in one table.
	request := binary.BigEndian.AppendUint64(nil, r.identity.ID)
	r.node.ReadIndex(binary.BigEndian.AppendUint64(request, r.round.id))
}

// finishRead takes the answers of a Ready.
func (r *Replicator) finishRead(request []byte, index uint64) {
	round := r.round
	if round == nil || len(request) != 16 || binary.BigEndian.Uint64(request[8:]) != round.id {
		return // an answer to an earlier try
	}
	status := r.node.BasicStatus()
	if status.Term != round.term {
		return // asked again by startRead
	}
	r.metrics.readRounds.Inc()
	r.round = nil
	round.index = index
	close(round.done)
	r.mail.wake() // for those who came while this round was under way
	if r.cfg.LeaseReads && status.Lead == r.identity.ID && r.transferTerm != round.term {
		r.lease.renew(round.term, round.asked+leaseLength(&r.cfg))
	}
}

// leaseDue reports whether the leader should ask a quorum on its own account, to keep its lease.
func (r *Replicator) leaseDue() bool {
	return r.cfg.LeaseReads && r.leading && r.transferTerm != r.term.Load() &&
		r.lease.remaining() < leaseLength(&r.cfg)*2/3
}

// waitApplied waits until the local backend holds index.
func (r *Replicator) waitApplied(ctx context.Context, index uint64) error {
	if r.applied.Load() >= index {
		return nil
	}
	reached := r.applyWaits.at(index)
	// Looked at again: the position may have passed between the first look and the registration.
	if r.applied.Load() >= index {
		return nil
	}
	select {
	case <-reached:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w: this node's backend has applied index %d, not yet %d%s", ErrNotDone, context.Cause(ctx), r.applied.Load(), index, r.executingText())
	case <-r.ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotDone, r.stopCause())
	}
}

// Office returns the term in which this member leads, once it has applied what the leaders before it left. ok is false on
// any other member. It is a hint: only an entry of that term proves that the member led when it was committed.
func (r *Replicator) Office() (term uint64, ok bool) {
	term = r.term.Load()
	ok = r.role.Load() == uint32(etcdraft.StateLeader) && r.appliedTerm.Load() == term && r.term.Load() == term
	return term, ok
}
