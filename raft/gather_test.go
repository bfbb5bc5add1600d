package raft

import (
	"reflect"
	"slices"
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
	inCrowd := func(r *Replicator) {
		r.queue = slices.Repeat([]*proposal{waiting}, crowd)
		r.commit.Store(2)
	}
	for _, tc := range []struct {
		name   string
		change func(r *Replicator)
		gather bool
	}{
		{"an entry is on its way", func(*Replicator) {}, true},
		{"all is committed", func(r *Replicator) { r.commit.Store(2) }, false},
		{"long enough", func(r *Replicator) { r.proposedAt -= leastGather }, false},
		{"enough bytes", func(r *Replicator) { r.cfg.MaxBatchBytes = 20 }, false},
		{"enough commands", func(r *Replicator) { r.cfg.MaxBatchCommands = 6 }, false},
		{"one command too few", func(r *Replicator) { r.cfg.MaxBatchCommands = 7 }, true},
		{"a crowd, and all is committed", inCrowd, true},
		{"nearly a crowd", func(r *Replicator) { inCrowd(r); r.queue = r.queue[1:] }, false},
		{"a crowd, and all is applied", func(r *Replicator) { inCrowd(r); r.applied.Store(2) }, false},
	} {
		r := &Replicator{cfg: NewConfig(), disk: &diskLog{memory: memory}, proposedAt: time.Second, waits: &waitQueue{}}
		r.leaseClock = func() time.Duration { return time.Second + leastGather/4 }
		r.queue = []*proposal{waiting, waiting}
		r.commit.Store(1)
		r.applied.Store(1)
		var alarm time.Duration
		r.wakeIn = func(d time.Duration) { alarm = d }
		tc.change(r)
		if _, got := r.gathers(); got != tc.gather {
			t.Errorf("%s: gathers is %v", tc.name, got)
		}
		if tc.gather && alarm != leastGather*3/4 {
			t.Errorf("%s: wakes in %v", tc.name, alarm)
		}
	}
}

// The apply loop wakes the loop of the leader that waits for it.
func TestCrowdWaitsForTheApplyLoop(t *testing.T) {
	memory := etcdraft.NewMemoryStorage()
	if err := memory.Append([]raftpb.Entry{{Term: 1, Index: 1}}); err != nil {
		t.Fatal(err)
	}
	r := &Replicator{cfg: NewConfig(), disk: &diskLog{memory: memory}, mail: newMailbox(), waits: &waitQueue{}}
	r.leaseClock = func() time.Duration { return 0 }
	r.wakeIn = func(time.Duration) {}
	r.queue = slices.Repeat([]*proposal{{}}, crowd)
	r.commit.Store(1)
	if _, on := r.gathers(); !on {
		t.Fatal("does not gather while the entry is not applied")
	}
	a := applyLoop{r: r}
	a.finish(applyRun{entries: []Entry{{Position: Position{Term: 1, Index: 1}}}, groups: make([][]groupRef, 1)}, 1)
	select {
	case <-r.mail.signal:
	default:
		t.Error("the loop was not woken when the entry was applied")
	}
	if _, on := r.gathers(); on {
		t.Error("gathers although all is applied")
	}
}

func TestGatherLimit(t *testing.T) {
	for _, tc := range []struct{ save, limit time.Duration }{
		{0, leastGather},
		{200 * time.Microsecond, leastGather},
		{time.Millisecond, gatherSaves * time.Millisecond},
		{time.Second, mostGather},
	} {
		var g gathering
		for range 100 {
			g.saved(tc.save)
		}
		if got := g.limit(); got > tc.limit || got < tc.limit*99/100 {
			t.Errorf("writes of %v: gathers for %v, want %v", tc.save, got, tc.limit)
		}
	}
}

// While proposals gather, members are not told of the commit index alone; when that ends, they are.
func TestWithhold(t *testing.T) {
	commit := raftpb.Message{Type: raftpb.MsgApp, To: 2, Index: 7, Commit: 7}
	entries := raftpb.Message{Type: raftpb.MsgApp, To: 2, Index: 7, Commit: 6, Entries: []raftpb.Entry{{Index: 8}}}
	beat := raftpb.Message{Type: raftpb.MsgHeartbeat, To: 2}
	next := raftpb.Message{Type: raftpb.MsgApp, To: 2, Index: 8, Commit: 7, Entries: []raftpb.Entry{{Index: 9}}}

	r := &Replicator{}
	r.gathering.on = true
	got := r.withhold([]raftpb.Message{entries, commit, beat})
	if want := []raftpb.Message{entries, beat}; !reflect.DeepEqual(got, want) {
		t.Errorf("while it gathers, sends %v, want %v", got, want)
	}
	if got := r.withhold(nil); len(got) != 0 {
		t.Errorf("while it gathers, sends %v", got)
	}
	r.gathering.on = false
	if got, want := r.withhold([]raftpb.Message{next}), []raftpb.Message{commit, next}; !reflect.DeepEqual(got, want) {
		t.Errorf("afterwards, sends %v, want %v", got, want)
	}
	if got := r.withhold(nil); len(got) != 0 {
		t.Errorf("sends %v again", got)
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
	b.gather(true, 0)
	b.propose(&proposal{})
	if woken() {
		t.Error("a proposal woke the loop")
	}
	b.message(raftpb.Message{})
	if !woken() {
		t.Error("a message did not wake the loop")
	}
	b.gather(false, 0)
	b.propose(&proposal{})
	if !woken() {
		t.Error("a proposal did not wake the loop that does not gather")
	}
	var m mail
	if b.take(&m, true); len(m.proposals) != 2 {
		t.Errorf("%d proposals", len(m.proposals))
	}
}
