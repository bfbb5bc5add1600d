package raft

import (
	"context"
	"errors"
	"fmt"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/nexus-replication/nexus/raft/failpoint"
)

const (
	// maxApplyBytes bounds the entries given to one call of Store.Apply.
	maxApplyBytes = 4 << 20
	// Pauses between tries while the backend is not usable.
	minApplyPause = 20 * time.Millisecond
	maxApplyPause = time.Second
	// handOverAfter is how long a leader keeps its office while its own backend is not usable.
	handOverAfter = time.Second
	// idleCheck is how often the backend is looked at while there is nothing to apply.
	idleCheck = 250 * time.Millisecond
)

// applyLoop feeds committed entries to the Store. It reads them from the log by position, so that a backend which lost
// data, at start or at any later time, is simply fed again from where it is.
type applyLoop struct {
	r *Replicator
	// position is what the backend holds.
	position Position
	// settledTerm is the greatest term of which an entry was applied; proposals offered before it are settled.
	settledTerm uint64
	// highest is the index up to which entries were applied at any time, and their proposals answered.
	highest   uint64
	calls     uint64    // of Store.Apply
	logBytes  uint64    // applied since the last snapshot, about
	failingAt time.Time // when the backend began to fail; zero while it works
	scratch   scratch
	// open is the place of the last piece of an entry whose other pieces are still to come; 0 if there are none.
	open uint64
	// ranAt is when entries were applied last.
	ranAt time.Time
}

func (a *applyLoop) run(ctx context.Context) {
	if !a.r.isOpen() { // nothing else is known then
		if err := a.openLate(ctx); err != nil {
			a.r.fail(err)
			return
		}
	}
	for {
		target := a.r.committed.wait(ctx, max(a.position.Index, a.open), idleCheck)
		if ctx.Err() != nil {
			return
		}
		target = a.linger(ctx, target)
		if ctx.Err() != nil {
			return
		}
		do := a.step
		if a.r.mustRestore.Load() != 0 {
			do = a.repair
		}
		if err := do(ctx, target); err != nil {
			a.r.fail(fmt.Errorf("apply after index %d: %w", a.position.Index, err))
			return
		}
		if err := a.doubt(); err != nil {
			a.r.fail(err)
			return
		}
		a.snapshotIfDue()
		if a.r.quarantined.Load() != nil && a.r.leader.Load() == a.r.identity.ID {
			a.r.mail.call(a.r.handOver)
		}
	}
}

// doubt takes this node out of service where its Store says that the backend may differ. One that is alone differs from nobody,
// and nobody could repair it.
func (a *applyLoop) doubt() error {
	d, ok := a.r.cfg.Store.(Doubter)
	if !ok {
		return nil
	}
	why := d.Doubt()
	if why == nil || len(a.r.Members()) < 2 || a.r.quarantined.Load() != nil {
		return nil
	}
	return a.r.enterQuarantine(quarantine{Node: a.r.identity.ID, Index: max(a.position.Index, 1), Reason: why.Error()})
}

// step applies the next run of entries up to target, or looks at the backend if there is none. An error is fatal.
func (a *applyLoop) step(ctx context.Context, target uint64) error {
	run, err := a.next(target)
	if errors.Is(err, etcdraft.ErrCompacted) {
		return a.restore(ctx)
	}
	if err != nil {
		return err
	}
	a.open = 0
	defer a.scratch.done()
	for pause := minApplyPause; ; pause = min(2*pause, maxApplyPause) {
		begun := time.Now()
		err := a.apply(ctx, run)
		if n := len(run.entries); err == nil && n > 0 {
			a.r.metrics.apply.Observe(time.Since(begun).Seconds())
			a.r.metrics.applyEntries.Observe(float64(n))
		}
		var behind *BehindError
		var fatal *FatalError
		switch {
		case err == nil:
			a.recovered()
			if n := len(run.entries); n > 0 {
				failpoint.Hit("raft.after-apply")
				a.finish(run, run.entries[n-1].Index)
				a.r.applying.Store(0)
			}
			if run.open {
				// The pieces say nothing yet: a reader need not wait for what they will.
				a.open = target
				a.publish(target)
			}
			if run.checkpoint != 0 {
				a.takeCheckpoint(run.checkpoint)
			}
			return nil
		case errors.As(err, &behind):
			return a.rewind(run, behind.Position)
		case errors.As(err, &fatal):
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		a.failing(err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// next reads the entries after the position from the log, up to target.
func (a *applyLoop) next(target uint64) (applyRun, error) {
	if target <= a.position.Index {
		return applyRun{}, nil
	}
	raw, err := a.r.disk.memory.Entries(a.position.Index+1, target+1, maxApplyBytes)
	if err != nil {
		return applyRun{}, fmt.Errorf("read the log: %w", err)
	}
	for i := range raw {
		if isPiece(&raw[i]) {
			if i == 0 {
				return a.join(raw[0], target)
			}
			raw = raw[:i]
			break
		}
	}
	return a.decode(raw)
}

// applyRun is consecutive entries with the groups of this node in them.
type applyRun struct {
	entries []Entry
	groups  [][]groupRef // of this node and of those who wait, by entry
	bytes   int
	// checkpoint is the id of the one that the last entry is, or 0.
	checkpoint uint64
	// open is set where there is nothing but the first pieces of an entry.
	open bool
}

func (a *applyLoop) decode(raw []raftpb.Entry) (applyRun, error) {
	run := applyRun{entries: make([]Entry, len(raw)), groups: make([][]groupRef, len(raw))}
	for i := range raw {
		e := &run.entries[i]
		e.Position = Position{Term: raw[i].Term, Index: raw[i].Index}
		a.logBytes += uint64(len(raw[i].Data))
		run.bytes += len(raw[i].Data)
		if raw[i].Type != raftpb.EntryNormal {
			continue
		}
		var memory scratch
		if i == 0 {
			memory = a.scratch
		}
		stamp, cmds, groups, err := decodeEntryTo(raw[i].Data, memory.cmds, memory.groups)
		if err != nil {
			return applyRun{}, fmt.Errorf("entry %d: %w", raw[i].Index, err)
		}
		if i == 0 && len(cmds) > 0 {
			a.scratch = scratch{cmds, groups}
		}
		e.Stamp, e.Commands = stamp, cmds
		for _, g := range groups {
			if g.origin == checkpointOrigin {
				run.checkpoint = g.id
			}
			// The leader has to know what became of those who wait, wherever they wait.
			if !g.waits() && (g.origin != a.r.identity.ID || !a.r.pending.has(g.id)) {
				continue
			}
			run.groups[i] = append(run.groups[i], g)
			for j := g.from; j < g.to; j++ {
				cmds[j].Wanted = true
			}
		}
		if run.checkpoint != 0 {
			// The state is to be that of this entry and no later one.
			run.entries, run.groups = run.entries[:i+1], run.groups[:i+1]
			break
		}
	}
	return run, nil
}

// finish publishes that the backend holds the entries of run up to and including last.
func (a *applyLoop) finish(run applyRun, last uint64) {
	a.land(run, last)
	a.observe(run, last)
	for i := range run.entries {
		e := &run.entries[i]
		if e.Index > last {
			break
		}
		a.position = e.Position
		a.highest = max(a.highest, e.Index)
		// Published before the client is told, so that its next read on this node finds it.
		a.r.applied.Store(e.Index)
		before := a.r.appliedTerm.Swap(e.Term)
		for _, g := range run.groups[i] {
			switch {
			case g.origin != a.r.identity.ID:
			case g.waits():
				a.r.completeWait(g.id, outcomeOf(e, g))
			default:
				a.r.complete(g.id, outcomeOf(e, g))
			}
		}
		if e.Term > a.settledTerm {
			a.settledTerm = e.Term
			a.r.requeueLost(e.Term)
		}
		if e.Term != before {
			a.r.mail.wake() // a new leader may sequence now
		}
	}
	a.publish(a.position.Index)
}

// publish tells who waits that the backend holds whatever entries up to index say.
func (a *applyLoop) publish(index uint64) {
	a.r.applied.Store(index)
	a.r.applyWaits.advance(index)
	if a.r.lagging.CompareAndSwap(true, false) {
		a.r.mail.wake()
	}
}

// observe shows the Sequencer the entries of run up to last.
func (a *applyLoop) observe(run applyRun, last uint64) {
	if a.r.observer == nil {
		return
	}
	n := 0
	for n < len(run.entries) && run.entries[n].Index <= last {
		n++
	}
	if n > 0 {
		a.r.observer.Applied(run.entries[:n])
	}
}

func outcomeOf(e *Entry, g groupRef) Outcome {
	o := Outcome{Position: e.Position, Stamp: e.Stamp, Replies: make([]Reply, 0, g.to-g.from)}
	for i := g.from; i < g.to; i++ {
		o.Replies = append(o.Replies, Reply{Data: e.Commands[i].Reply, Err: e.Commands[i].Err})
	}
	return o
}

// rewind goes on from the position that the backend turned out to hold: an earlier one when it was restarted empty or
// from an old dump, a later one when part of run was applied and the replies were lost.
func (a *applyLoop) rewind(run applyRun, held Position) error {
	if err := a.r.checkHeld(held); err != nil {
		return err
	}
	a.r.log.Warn("backend holds another position than expected", "expected", a.position.Index, "holds", held.Index)
	if len(run.entries) > 0 && held.Index >= run.entries[0].Index {
		for i := range run.entries {
			for j := range run.entries[i].Commands {
				c := &run.entries[i].Commands[j]
				c.Reply, c.Err = nil, ErrReplyLost
			}
		}
		a.finish(run, held.Index)
		return nil
	}
	a.position = held
	a.r.appliedTerm.Store(held.Term) // a leader sequences nothing before it is filled again
	a.r.applied.Store(held.Index)
	return nil
}

// checkHeld refuses a backend whose position is not of this log.
func (r *Replicator) checkHeld(held Position) error {
	last, err := r.disk.memory.LastIndex()
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	if held.Index > last {
		return &FatalError{fmt.Errorf("the backend holds index %d but this node's log ends at %d: the data directory is older than the backend; replace this node or restore its data directory", held.Index, last)}
	}
	term, err := r.disk.memory.Term(held.Index)
	if errors.Is(err, etcdraft.ErrCompacted) {
		return nil // a snapshot will replace it
	}
	if err != nil {
		return fmt.Errorf("read the log at index %d: %w", held.Index, err)
	}
	if term != held.Term {
		return &FatalError{fmt.Errorf("the backend holds index %d of term %d, but in this node's log that index is of term %d: it was filled from another log; empty it (FLUSHALL) to have it filled again", held.Index, held.Term, term)}
	}
	return nil
}

// failing notes that the backend cannot be used now. Readers and writers are told; a leader hands over its office.
func (a *applyLoop) failing(err error) {
	now := time.Now()
	if a.failingAt.IsZero() {
		a.failingAt = now
		var restoring errRestoring
		var unopened *unopenedError
		if !errors.As(err, &restoring) && !errors.As(err, &unopened) { // these are logged where they begin
			a.r.log.Error("backend failing, not serving until it works again", "err", err)
		}
	}
	a.r.backendProblem.Store(&err)
	if now.Sub(a.failingAt) > handOverAfter {
		a.r.mail.call(a.r.handOver)
	}
}

func (a *applyLoop) recovered() {
	if a.r.backendProblem.Load() == nil {
		return
	}
	if a.failingAt.IsZero() {
		a.r.log.Info("backend answers again")
	} else {
		a.r.log.Info("backend works again", "after", time.Since(a.failingAt).Round(time.Millisecond))
	}
	a.failingAt = time.Time{}
	a.r.backendProblem.Store(nil)
}
