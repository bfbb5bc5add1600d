package raft

import "slices"

// dispatch moves queued proposals: into the log on the leader, to the leader elsewhere.
func (r *Replicator) dispatch() {
	r.mail.gather(false, 0)
	r.gathering.on = false
	if len(r.queue) == 0 && !r.waits.isDue() && r.cutting == nil {
		return
	}
	if !r.leading {
		r.forwardQueue()
		return
	}
	if !r.goOnCutting() {
		return
	}
	// A new leader may sequence only when it has applied all that earlier leaders left: its backend and what is
	// derived from it would lag behind the log otherwise.
	if r.appliedTerm.Load() != r.term.Load() {
		r.refuseHandedStale()
		return
	}
	if r.commit.Load()-min(r.commit.Load(), r.applied.Load()) > r.cfg.MaxApplyLag {
		r.lagging.Store(true)
		return
	}
	if r.held || r.applied.Load() < r.holdIndex {
		r.lagging.Store(true)
		return
	}
	if missing, on := r.gathers(); on {
		r.gathering.on = missing == 0 || !r.regrouping.handed
		r.mail.gather(true, missing)
		return
	}
	for (len(r.queue) > 0 || r.waits.isDue()) && !r.held && r.cutting == nil && r.proposeBatch() {
	}
}

// refuseHandedStale answers for proposals of other nodes that were meant for an earlier term.
func (r *Replicator) refuseHandedStale() {
	kept := r.queue[:0]
	for _, p := range r.queue {
		if p.verdict != nil && p.handedTerm != r.term.Load() {
			p.refuse()
			continue
		}
		kept = append(kept, p)
	}
	clear(r.queue[len(kept):])
	r.queue = kept
}

// proposeBatch puts the head of the queue into one entry. False: raft does not take any now.
func (r *Replicator) proposeBatch() bool {
	batch, rest := r.takeBatch()
	if len(batch) == 0 && !r.waits.isDue() {
		r.dropQueued(rest)
		return true
	}
	stamp := max(r.wallClock().UnixMilli(), r.disk.lastStamp)
	groups, hold := r.sequence(stamp, batch)
	// With nothing but commands that have to wait there is no entry.
	if len(groups) > 0 {
		if err := r.putIntoLog(stamp, groups); err != nil {
			r.waits.rollback()
			r.putBack(batch)
			return false
		}
		r.disk.lastStamp = stamp
		r.proposedAt = r.leaseClock()
		r.regrouping.proposed(batch)
		r.gathering.asked = false
	}
	if hold {
		r.regrouping.size = 0 // they are still here
		r.putBack(batch)
		r.held = true
		return false
	}
	r.waits.commit()
	for _, p := range batch {
		if p.verdict != nil {
			p.verdict <- true
		}
	}
	r.dropQueued(rest)
	return true
}

// takeBatch marks as offered what will stand in the next entry, and returns it with the number of queued proposals that
// it accounts for.
func (r *Replicator) takeBatch() (batch []*proposal, used int) {
	bytes, commands := 0, 0
	batch = r.batch[:0]
	term := r.term.Load()
	for _, p := range r.queue {
		if len(batch) > 0 && (bytes+p.bytes > r.cfg.MaxBatchBytes || commands+len(p.cmds) > r.cfg.MaxBatchCommands) {
			break
		}
		used++
		switch {
		case p.verdict == nil:
			if !r.offer(p, term) {
				continue
			}
			if p.wait != nil {
				p.wait.link = nil
			}
		case p.state.Load() == proposalAbandoned:
			continue
		case p.handedTerm != term || p.waits() && r.links[p.link] == nil:
			p.refuse()
			continue
		}
		bytes += p.bytes
		commands += len(p.cmds)
		batch = append(batch, p)
	}
	r.batch = batch
	return batch, used
}

func (r *Replicator) dropQueued(n int) {
	kept := copy(r.queue, r.queue[n:])
	clear(r.queue[kept:])
	r.queue = r.queue[:kept]
}

// putBack returns an offered batch, which is in no log, to the queue, where it still stands at the head.
func (r *Replicator) putBack(batch []*proposal) {
	for _, p := range batch {
		if p.verdict == nil {
			r.withdraw(p, r.term.Load())
		}
	}
}

// sequence lets the Sequencer see the commands of batch in order, and returns the groups of the entry: with hold, only
// those of its own.
func (r *Replicator) sequence(stamp int64, batch []*proposal) (groups []group, hold bool) {
	r.groups = r.groups[:0]
	if r.cfg.Sequencer != nil {
		clear(r.cmds)
		cmds := r.cmds[:0]
		for _, p := range batch {
			cmds = append(cmds, p.cmds...)
		}
		r.cmds = cmds
		before, hold := r.cfg.Sequencer.Sequence(stamp, cmds)
		if len(before) > 0 || hold {
			r.groups = append(r.groups, group{cmds: before})
		}
		if hold {
			return r.groups, true
		}
		if r.waits.rules != nil && (!r.waits.empty() || slices.ContainsFunc(batch, (*proposal).isOfWait)) {
			r.groups = r.arrange(stamp, batch, cmds)
			return r.groups, false
		}
		// The proposals keep their commands as they came: if the entry is lost, another leader sequences them again.
		at := 0
		for _, p := range batch {
			end := at + len(p.cmds)
			r.groups = append(r.groups, group{origin: p.origin, id: p.id, cmds: cmds[at:end]})
			at = end
		}
		return r.groups, false
	}
	for _, p := range batch {
		r.groups = append(r.groups, p.group)
	}
	return r.groups, false
}

func (r *Replicator) entrySize(groups []group) int {
	n := 32
	for i := range groups {
		n += groups[i].size()
	}
	return n
}
