package raft

import (
	"context"
	"time"
)

// maxLingering entries are applied without waiting for more.
const maxLingering = 64

// linger returns how far to apply. Where nobody waits for an entry on this member, which does not lead, it stays in the log until
// Config.ApplyInterval has passed since entries were applied last, and is applied together with those that came meanwhile. A
// write is acknowledged by the log, so that none waits for that; readers of this member, and those who have proposed
// here, end it.
func (a *applyLoop) linger(ctx context.Context, target uint64) uint64 {
	interval := a.r.cfg.ApplyInterval
	if interval == 0 || target <= a.position.Index {
		return target
	}
	pause := interval - time.Since(a.ranAt)
	if pause <= 0 || target-a.position.Index >= maxLingering || a.r.isAwaited() {
		a.ranAt = time.Now()
		return target
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-a.r.awaited:
	case <-timer.C:
	case <-ctx.Done():
	}
	a.ranAt = time.Now()
	return a.r.committed.load()
}

// awaited holds a token after somebody has begun to wait for what is applied here.
type awaited chan struct{}

func newAwaited() awaited { return make(awaited, 1) }

func (w awaited) note() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// isAwaited reports whether somebody waits for what is applied here, as all do where this member leads. Whoever comes later
// leaves a token.
func (r *Replicator) isAwaited() bool {
	select {
	case <-r.awaited:
	default:
	}
	return r.leader.Load() == r.identity.ID || !r.pending.empty() || !r.applyWaits.empty()
}
