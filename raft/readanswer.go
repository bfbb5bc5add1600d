package raft

import (
	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

// answersByLease takes a member's question about reads, if it can be answered without asking a quorum: the lease says as
// much as a quorum would. What the member may not read before is what was committed at a moment after it asked at which
// nobody else can have led, so the answer is true however late it comes, also if this process is paused before it is
// sent. Loop only.
func (r *Replicator) answersByLease(m *raftpb.Message) bool {
	if m.Type != raftpb.MsgReadIndex || len(m.Entries) != 1 || !r.cfg.LeaseReads {
		return false
	}
	// Looked up before the lease is: it held when this was all that was committed.
	status := r.node.BasicStatus()
	if status.RaftState != etcdraft.StateLeader {
		return false
	}
	if term, ok := r.lease.holds(); !ok || term != status.Term {
		return false
	}
	r.answers = append(r.answers, raftpb.Message{
		Type: raftpb.MsgReadIndexResp, From: r.identity.ID, To: m.From, Term: status.Term, Index: status.Commit, Entries: m.Entries,
	})
	return true
}

// sendAnswers sends them, after observe. Whoever gets one waits until it hears that so much is committed, so that is not
// withheld before the next entry tells it.
func (r *Replicator) sendAnswers() {
	if len(r.answers) == 0 {
		return
	}
	r.gathering.asked = true
	r.send(r.answers)
	r.answers = nil // the transport keeps it
}
