package raft

import (
	"testing"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

func TestGathers(t *testing.T) {
	memory := etcdraft.NewMemoryStorage()
	if err := memory.Append([]raftpb.Entry{{Term: 1, Index: 1}, {Term: 1, Index: 2}}); err != nil {
		t.Fatal(err)
	}
	waiting := &proposal{bytes: 10, group: group{cmds: make([]Command, 3)}}
	for _, tc := range []struct {
		name   string
		change func(r *Replicator)
		gather bool
	}{
		{"an entry is on its way", func(*Replicator) {}, true},
		{"all is committed", func(r *Replicator) { r.commit.Store(2) }, false},
		{"long enough", func(r *Replicator) { r.proposedAt -= maxGather }, false},
		{"enough bytes", func(r *Replicator) { r.cfg.MaxBatchBytes = 20 }, false},
		{"enough commands", func(r *Replicator) { r.cfg.MaxBatchCommands = 6 }, false},
		{"one command too few", func(r *Replicator) { r.cfg.MaxBatchCommands = 7 }, true},
	} {
		r := &Replicator{cfg: NewConfig(), disk: &diskLog{memory: memory}, proposedAt: time.Second, waits: &waitQueue{}}
		r.leaseClock = func() time.Duration { return time.Second + maxGather/4 }
		r.queue = []*proposal{waiting, waiting}
		r.commit.Store(1)
		var alarm time.Duration
		r.wakeIn = func(d time.Duration) { alarm = d }
		tc.change(r)
		if got := r.gathers(); got != tc.gather {
			t.Errorf("%s: gathers is %v", tc.name, got)
		}
		if tc.gather && alarm != maxGather*3/4 {
			t.Errorf("%s: wakes in %v", tc.name, alarm)
		}
	}
}

func TestGatheringLetsTheLoopSleep(t *testing.T) {
	b := newMailbox()
	woken := func() bool {
		select {
		case <-b.signal:
			return true
		default:
			return false
		}
	}
	b.gather(true)
	b.propose(&proposal{})
	if woken() {
		t.Error("a proposal woke the loop")
	}
	b.message(raftpb.Message{})
	if !woken() {
		t.Error("a message did not wake the loop")
	}
	b.gather(false)
	b.propose(&proposal{})
	if !woken() {
		t.Error("a proposal did not wake the loop that does not gather")
	}
	var m mail
	if b.take(&m, true); len(m.proposals) != 2 {
		t.Errorf("%d proposals", len(m.proposals))
	}
}
