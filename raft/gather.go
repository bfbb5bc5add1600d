package raft

import (
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

const (
	// leastGather is for how long proposals may wait for company while an entry is on its way. It has to be longer than a
	// commit takes between machines of one site, and is what a distant cluster pays.
	leastGather = 2 * time.Millisecond
	// Where the disk is slow, or the processors are busy, a commit takes about gatherSaves writes to this log.
	gatherSaves = 4
	mostGather  = 20 * time.Millisecond
	// crowd is how many proposals have to wait for the processors to count more than the moment that the last entry's
	// outcome takes. Those who got it come again, and make the next entry twice as large.
	crowd = 8
)

// gathering is what the loop knows about it.
type gathering struct {
	on   bool          // what is queued stays there for now
	save time.Duration // what a write to the log takes, smoothed
	// withheld are messages of which the next entry tells as much.
	withheld []raftpb.Message
	asked    bool // nothing is withheld before the next entry: see sendAnswers
}

// saved takes the time that a write to the log has taken.
func (g *gathering) saved(took time.Duration) {
	g.save += (took - g.save) / 8
}

func (g *gathering) limit() time.Duration {
	return min(max(leastGather, gatherSaves*g.save), mostGather)
}

// gathers reports whether what is queued should stay there for now. While an entry is on its way, whatever comes is
// gathered for the next one: each entry costs a write to every disk and messages to and from every member, however many
// commands stand in it. Nobody who is alone waits for it.
//
// missing is how many more have to come for the loop to be woken before something else wakes it; 0: however many.
func (r *Replicator) gathers() (missing int, on bool) {
	last, err := r.disk.memory.LastIndex()
	if err != nil || r.waits.isDue() || r.fillsBatch() {
		return 0, false
	}
	if left := r.gathering.limit() - (r.leaseClock() - r.proposedAt); left > 0 && r.underWay(last) {
		r.wakeIn(left)
		return 0, true
	}
	missing = r.regroups(last)
	return missing, missing > 0
}

// underWay reports whether the entry at last is still to be waited for: until it is committed, or, by a crowd, applied
// here.
func (r *Replicator) underWay(last uint64) bool {
	if last > r.commit.Load() {
		return true
	}
	if !r.isCrowd() || last <= r.applied.Load() {
		return false
	}
	r.lagging.Store(true) // the apply loop wakes this one
	return last > r.applied.Load()
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

// withhold returns what is to be sent of messages, behind what was kept back before. While proposals gather it keeps back
// those that tell a member how far the log is committed and nothing else, since the next entry tells that too. Each
// would wake the member, be answered, and wake the leader.
func (r *Replicator) withhold(messages []raftpb.Message) []raftpb.Message {
	g := &r.gathering
	if !g.on || g.asked {
		if len(g.withheld) > 0 {
			messages = append(g.withheld, messages...)
			g.withheld = nil
		}
		return messages
	}
	kept := messages[:0]
	for i := range messages {
		if m := &messages[i]; m.Type == raftpb.MsgApp && len(m.Entries) == 0 {
			g.withheld = append(g.withheld, *m)
			continue
		}
		kept = append(kept, messages[i])
	}
	return kept
}
