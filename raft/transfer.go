package raft

import (
	"context"
	"fmt"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
)

// TransferLeadership makes the member called id the leader, or, with id 0, the best suited of the others: one that serves, as far
// as they say so.
func (r *Replicator) TransferLeadership(ctx context.Context, id uint64) error {
	_, err := r.change(ctx, membershipRequest{Op: "transfer", ID: id})
	return err
}

func (r *Replicator) transferAsLeader(ctx context.Context, to uint64) error {
	var serving map[uint64]bool
	if to == 0 {
		serving = r.others(ctx, func(s Status) bool { return s.Serving && s.Executing == nil })
	}
	err := r.onLoop(ctx, func() error {
		if !r.leading {
			return errNotLeader
		}
		if to == r.identity.ID {
			return nil
		}
		if to == 0 {
			to = r.bestSuccessor(serving)
		}
		m, ok := r.membership.get(to)
		switch {
		case to == 0:
			return fmt.Errorf("%w: no other voter is reachable", ErrRefused)
		case !ok:
			return fmt.Errorf("%w: node %016x is not a member", ErrRefused, to)
		case m.Learner:
			return fmt.Errorf("%w: %s is a learner", ErrRefused, m.URL)
		}
		r.startTransfer(to)
		return nil
	})
	if err != nil {
		return r.perhapsDone(ctx, err)
	}
	for r.leader.Load() != to {
		select {
		case <-time.After(membershipPause / 10):
		case <-ctx.Done():
			return fmt.Errorf("%w: %s may still become the leader: %w", ErrOutcomeUnknown, r.membership.name(to), context.Cause(ctx))
		case <-r.ctx.Done():
			return fmt.Errorf("%w: %s may still become the leader: %w", ErrOutcomeUnknown, r.membership.name(to), r.stopCause())
		}
		if leader := r.leader.Load(); leader != 0 && leader != to && leader != r.identity.ID {
			return fmt.Errorf("%s became leader instead of %s", r.membership.name(leader), r.membership.name(to))
		}
		if err := r.onLoop(ctx, func() error { r.renewTransfer(to); return nil }); err != nil {
			return r.perhapsDone(ctx, fmt.Errorf("transfer to %s: %w", r.membership.name(to), err))
		}
	}
	return nil
}

// renewTransfer starts a transfer again that raft has given up after an election timeout, for instance because the
// message to a member that came just now was lost. Loop only.
func (r *Replicator) renewTransfer(to uint64) {
	if r.leading && r.node.BasicStatus().LeadTransferee == etcdraft.None {
		r.startTransfer(to)
	}
}

// startTransfer gives up the lease for the rest of the term: the successor may be elected at any time from now, also
// after this leader has given up waiting for it. Loop only.
func (r *Replicator) startTransfer(to uint64) {
	r.lease.drop()
	r.transferTerm = r.node.BasicStatus().Term
	r.node.TransferLeader(to)
}
