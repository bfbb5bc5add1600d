package raft

import "time"

// maxGather is for how long proposals wait for company while an entry is on its way. It has to be longer than a commit
// takes between machines of one site, and is what a distant cluster pays.
const maxGather = 2 * time.Millisecond

// gathers reports whether what is queued should stay there for now. While an entry is not committed, whatever comes is
// gathered for the next one: each entry costs a write to every disk and messages to and from every member, however many
// commands stand in it. Nobody who is alone waits for it.
func (r *Replicator) gathers() bool {
	last, err := r.disk.memory.LastIndex()
	if err != nil || last <= r.commit.Load() || r.waits.isDue() {
		return false
	}
	left := maxGather - (r.leaseClock() - r.proposedAt)
	if left <= 0 || r.fillsBatch() {
		return false
	}
	r.wakeIn(left)
	return true
}

// fillsBatch reports whether what is queued is enough for an entry.
func (r *Replicator) fillsBatch() bool {
	bytes, commands := 0, 0
	for _, p := range r.queue {
		bytes += p.bytes
		commands += len(p.cmds)
		if bytes >= r.cfg.MaxBatchBytes || commands >= r.cfg.MaxBatchCommands {
			return true
		}
	}
	return false
}
