package raft

import (
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/nexus-replication/nexus/raft/failpoint"
)

// ready handles what raft wants done, in the order that its correctness rests on: the log before the answers of a
// follower, membership before the next election, the backend only after the log.
func (r *Replicator) ready() error {
	if !r.node.HasReady() {
		return nil
	}
	rd := r.node.Ready()
	r.observe()
	leads := r.leading
	r.timeCommits(leads, rd.Entries)
	changes := changesMembers(rd.CommittedEntries)
	// A leader may send while its own disk still writes (Ongaro's thesis, 10.2.1): its acknowledgement to itself counts
	// only in the next step, after save. But raft lets the only voter commit at once, and learners would hear of it.
	saved := len(rd.Entries) == 0 || r.commit.Load() < rd.Entries[0].Index // all that is committed
	early := leads && !changes && saved
	if early {
		r.send(rd.Messages)
	}
	// Entries that are durable here already need not wait for this write.
	if n := len(rd.CommittedEntries); n > 0 && saved {
		r.committed.raise(rd.CommittedEntries[n-1].Index)
	}
	failpoint.Hit("raft.before-save")
	if !etcdraft.IsEmptySnap(rd.Snapshot) {
		if err := r.installSnapshot(rd.Snapshot, rd.HardState); err != nil {
			return err
		}
	}
	if err := r.save(rd.HardState, rd.Entries); err != nil {
		return err
	}
	r.view.saved()
	// The log may lose a commit index that was saved alone in a crash, because the members tell it again. But who was
	// removed tells nothing.
	if changes {
		if err := r.disk.sync(); err != nil {
			return err
		}
	}
	if leads && !early {
		r.send(rd.Messages)
	}
	failpoint.Hit("raft.after-save")
	if n := len(rd.Entries); n > 0 && r.held && r.cutting == nil {
		r.held, r.holdIndex = false, rd.Entries[n-1].Index
	}
	for i := range rd.CommittedEntries {
		if err := r.applyMembership(&rd.CommittedEntries[i]); err != nil {
			return err
		}
	}
	if !leads {
		r.send(rd.Messages)
	}
	if !etcdraft.IsEmptySnap(rd.Snapshot) {
		r.committed.raise(rd.Snapshot.Metadata.Index)
	}
	if n := len(rd.CommittedEntries); n > 0 {
		r.committed.raise(rd.CommittedEntries[n-1].Index)
	}
	if n := len(rd.ReadStates); n > 0 {
		for _, rs := range rd.ReadStates {
			r.finishRead(rs.RequestCtx, rs.Index)
		}
	}
	r.node.Advance(rd)
	return nil
}

// timeCommits measures how long the leader's entries take to be committed.
func (r *Replicator) timeCommits(leads bool, entries []raftpb.Entry) {
	if !leads {
		r.uncommitted = nil
		return
	}
	r.uncommitted.committed(r.commit.Load(), r.metrics.commit)
	if n := len(entries); n > 0 {
		r.uncommitted.wrote(entries[n-1].Index, time.Now())
	}
}
