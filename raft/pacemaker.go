package raft

import (
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/raft/v3/tracker"
)

const (
	// longWrite is how many bytes of entries may take longer to write than members wait for word of their leader.
	longWrite = 4 << 20
	// slowDisk, in bytes a second, is what a disk is believed to need for them. One that needs longer hangs.
	slowDisk = 16 << 20
)

// Allowance is how much longer than usual it may take to replicate so many bytes, in whole seconds.
func Allowance(bytes int) time.Duration {
	return time.Duration(bytes/slowDisk) * time.Second
}

// save makes state and entries durable. While a leader writes entries that take long its loop says nothing, so something else
// has to say that it is still there, or it would lose its office for a large value.
func (r *Replicator) save(state raftpb.HardState, entries []raftpb.Entry) error {
	bytes := 0
	for i := range entries {
		bytes += len(entries[i].Data)
	}
	if r.leading && bytes >= longWrite {
		defer r.beat(time.Duration(bytes) * time.Second / slowDisk)()
	}
	return r.disk.save(state, entries)
}

// beat sends heartbeats for as long as limit allows, or until the function that it returns is called. They carry no round: no
// answer to them prolongs a lease. Only the loop may call it, and must not go on before it has called that function, for they
// are of the term that is current now.
func (r *Replicator) beat(limit time.Duration) (end func()) {
	self, term := r.identity.ID, r.term.Load()
	var peers []uint64
	r.node.WithProgress(func(id uint64, _ etcdraft.ProgressType, _ tracker.Progress) {
		if id != self {
			peers = append(peers, id)
		}
	})
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(r.cfg.Tick)
		defer ticker.Stop()
		for range int(limit / r.cfg.Tick) {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			beats := make([]raftpb.Message, 0, len(peers))
			for _, id := range peers {
				beats = append(beats, raftpb.Message{Type: raftpb.MsgHeartbeat, From: self, To: id, Term: term})
			}
			r.transport.send(beats)
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
