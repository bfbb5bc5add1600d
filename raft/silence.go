package raft

import (
	"context"
	"fmt"
	"time"

	"github.com/nexus-replication/nexus/raft/patience"
)

const (
	// applyStall is how long a leader keeps its office while its own backend says nothing at all, besides the time that large
	// entries may need.
	applyStall = 3 * time.Second
	// lookStall is how long a look at an idle backend, or a call that applies entries, besides the time that large ones may
	// need, takes before the node counts the backend as one that hangs and refuses.
	lookStall = 2 * time.Second
	// busyLag is the part of Config.MaxApplyLag, as a divisor, above which a leader that is busy hands over its office. Clients
	// wait for what is as slow everywhere; where entries pile up, others are not busy. Those that were left to it say nothing
	// about others: see seekThrough.
	busyLag = 10
)

// watchOwnBackend notices a backend that hangs, which is silent for long before that counts as an error: entries that are
// not applied, or a look at it that does not come back. A leader hands over its office. Loop only.
func (r *Replicator) watchOwnBackend() {
	r.watchCall()
	allowed := applyStall + Allowance(int(r.applying.Load())) // before applied, which is published before it ends
	applied := r.applied.Load()
	if !r.leading || applied >= r.commit.Load() || applied != r.appliedBefore {
		r.appliedBefore, r.appliedAt, r.soughtAt = applied, r.leaseClock(), r.leaseClock()
		return
	}
	if r.inArrears() && r.leaseClock()-r.soughtAt > allowed {
		r.soughtAt = r.leaseClock()
		r.seekThrough()
	}
	if r.storeIsBusy() && (r.inArrears() || r.commit.Load()-applied <= r.cfg.MaxApplyLag/busyLag) {
		r.appliedAt = r.leaseClock()
		return
	}
	if r.leaseClock()-r.appliedAt > allowed {
		r.appliedAt = r.leaseClock()
		r.log.Warn("backend applies nothing", "applied", applied, "committed", r.commit.Load())
		r.handOver()
	}
}

// watchCall judges the call of Store.Apply that is under way: by ticks, since a node that was paused itself has to hear
// first what came meanwhile. Until the call returns, the node refuses. Who leads hands over at once if the backend was
// only looked at; for entries that may take long elsewhere too, applyStall decides.
func (r *Replicator) watchCall() {
	call := r.call.Load()
	if call == 0 || call != r.callBefore || r.storeIsBusy() {
		r.callBefore, r.callTicks = call, 0
		return
	}
	r.callTicks++
	silent := time.Duration(r.callTicks) * r.cfg.Tick
	bytes := r.applying.Load()
	if silent < lookStall+Allowance(int(bytes)) {
		return
	}
	looks := bytes == 0
	if r.backendProblem.Load() == nil {
		err := errSilent
		r.backendProblem.Store(&err)
		r.log.Error("backend silent, not serving until it answers", "for", silent, "applied", r.applied.Load(), "committed", r.commit.Load())
		if looks {
			r.handOver()
		}
	}
	if looks && silent%applyStall < r.cfg.Tick {
		r.handOver() // nobody took it
	}
}

// storeIsBusy reports that the backend may well take long, as it would elsewhere.
func (r *Replicator) storeIsBusy() bool {
	b, ok := r.cfg.Store.(Busier)
	return ok && b.Busy()
}

// within returns a context that ends after Config.Timeout, or that much later for as long as the backend is busy.
func (r *Replicator) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := patience.Start(ctx, r.cfg.Timeout, r.storeIsBusy, func() { cancel(r.noAnswer) })
	return ctx, func() {
		timer.Stop()
		cancel(context.Canceled)
	}
}

// errSilent is the problem of a backend that does not come back from what it was asked.
var errSilent = fmt.Errorf("it has not answered for more than %v", lookStall)

// apply gives the entries of run to the Store. Without any, that is a look at the backend, which is a matter of an instant.
func (a *applyLoop) apply(ctx context.Context, run applyRun) error {
	a.r.applying.Store(int64(run.bytes))
	a.calls++
	a.r.call.Store(a.calls)
	defer a.r.call.Store(0)
	if len(run.entries) > 0 {
		a.r.callBegun.Store(max(int64(a.r.leaseClock()), 1))
		defer a.r.callBegun.Store(0)
	}
	return a.r.cfg.Store.Apply(ctx, run.entries)
}
