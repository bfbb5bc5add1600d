package raft

import (
	"context"
	"fmt"
	"time"
)

const (
	// applyStall is how long a leader keeps its office while its own backend says nothing at all, besides the time that large
	// entries may need.
	applyStall = 3 * time.Second
	// lookStall is how long a look at an idle backend may take before the node counts it as one that hangs.
	lookStall = 2 * time.Second
)

// watchOwnBackend notices a backend that hangs, which is silent for long before that counts as an error: entries that are
// not applied, or a look at it that does not come back. A leader hands over its office. Loop only.
func (r *Replicator) watchOwnBackend() {
	r.watchLook()
	patience := applyStall + Allowance(int(r.applying.Load())) // before applied, which is published before it ends
	applied := r.applied.Load()
	if b, ok := r.cfg.Store.(Busier); ok && b.Busy() {
		r.appliedBefore, r.appliedAt = applied, r.leaseClock()
		return
	}
	if !r.leading || applied >= r.commit.Load() || applied != r.appliedBefore {
		r.appliedBefore, r.appliedAt = applied, r.leaseClock()
		return
	}
	if r.leaseClock()-r.appliedAt > patience {
		r.appliedAt = r.leaseClock()
		r.log.Warn("backend applies nothing", "applied", applied, "committed", r.commit.Load())
		r.handOver()
	}
}

// watchLook judges the look at the idle backend that is under way: by ticks, since a node that was paused itself has to
// hear first what came meanwhile. Until the look returns, the node refuses.
func (r *Replicator) watchLook() {
	look := r.look.Load()
	if look == 0 || look != r.lookBefore {
		r.lookBefore, r.lookTicks = look, 0
		return
	}
	r.lookTicks++
	silent := time.Duration(r.lookTicks) * r.cfg.Tick
	if silent < lookStall {
		return
	}
	if r.backendProblem.Load() == nil {
		err := errSilent
		r.backendProblem.Store(&err)
		r.log.Error("backend silent, not serving until it answers", "for", silent)
		r.handOver()
	}
	if silent%applyStall < r.cfg.Tick {
		r.handOver() // nobody took it
	}
}

// errSilent is the problem of a backend that does not come back from being looked at.
var errSilent = fmt.Errorf("it has not answered for more than %v", lookStall)

// apply gives the entries of run to the Store. Without any, that is a look at the backend, which is a matter of an instant.
func (a *applyLoop) apply(ctx context.Context, run applyRun) error {
	if len(run.entries) > 0 {
		a.r.applying.Store(int64(run.bytes))
		return a.r.cfg.Store.Apply(ctx, run.entries)
	}
	a.looks++
	a.r.look.Store(a.looks)
	err := a.r.cfg.Store.Apply(ctx, nil)
	a.r.look.Store(0)
	return err
}
