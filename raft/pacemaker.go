package raft

import (
	"slices"
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

// save makes state and entries durable. While the loop writes entries that take long it says nothing, so something else has
// to say that it is still there: of a leader, or the others would elect another for a large value; of the others, or the
// leader would take itself for cut off from them.
func (r *Replicator) save(state raftpb.HardState, entries []raftpb.Entry) error {
	if len(entries) == 0 {
		return r.write(0, func() error { return r.disk.save(state, nil) })
	}
	bytes := 0
	for i := range entries {
		bytes += len(entries[i].Data)
	}
	if bytes >= longWrite {
		defer r.beat(r.signsOfLife(), time.Duration(bytes)*time.Second/slowDisk)()
	}
	begun := r.leaseClock()
	if err := r.write(bytes, func() error { return r.disk.save(state, entries) }); err != nil {
		return err
	}
	r.gathering.saved(r.leaseClock() - begun)
	return nil
}

// signsOfLife returns the messages that beat sends. They carry no round: no answer to those of a leader prolongs a lease,
// nor do those to it. They are of the term that is current now.
func (r *Replicator) signsOfLife() []raftpb.Message {
	self, term := r.identity.ID, r.term.Load()
	if !r.leading {
		if lead := r.leader.Load(); lead != 0 {
			// It acknowledges nothing, and asks for nothing, as an answer to a heartbeat may.
			return []raftpb.Message{{Type: raftpb.MsgAppResp, From: self, To: lead, Term: term}}
		}
		return nil
	}
	var beats []raftpb.Message
	r.node.WithProgress(func(id uint64, _ etcdraft.ProgressType, _ tracker.Progress) {
		if id != self {
			beats = append(beats, raftpb.Message{Type: raftpb.MsgHeartbeat, From: self, To: id, Term: term})
		}
	})
	return beats
}

// beat sends messages every tick for as long as limit allows, or until the function that it returns is called. Only the loop
// may call it, and must not go on before it has called that function.
func (r *Replicator) beat(messages []raftpb.Message, limit time.Duration) (end func()) {
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
			r.transport.send(slices.Clone(messages))
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
