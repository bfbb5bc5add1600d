package raft

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

// newReadersFirst returns a leader whose last entry is applied, with so many proposals and readers.
func newReadersFirst(t *testing.T, queued, reading int) *Replicator {
	t.Helper()
	memory := etcdraft.NewMemoryStorage()
	if err := memory.Append([]raftpb.Entry{{Term: 1, Index: 1}}); err != nil {
		t.Fatal(err)
	}
	r := &Replicator{
		cfg: NewConfig(), disk: &diskLog{memory: memory}, mail: newMailbox(), waits: &waitQueue{},
		leaseClock: func() time.Duration { return leastGather / 4 },
		wakeIn:     func(time.Duration) {},
		queue:      slices.Repeat([]*proposal{{}}, queued),
	}
	r.cfg.ReadersFirst = true
	r.commit.Store(1)
	r.applied.Store(1)
	for range reading {
		r.beginRead()
	}
	return r
}

func TestLetsReadersGo(t *testing.T) {
	for _, tc := range []struct {
		name            string
		queued, reading int
		change          func(r *Replicator)
		missing         int
	}{
		{"many read", 2, manyReaders, func(*Replicator) {}, enoughWrites - 2},
		{"nobody reads", 2, 0, func(*Replicator) {}, 0},
		{"not that many", 2, manyReaders - 1, func(*Replicator) {}, 0},
		{"long enough", 2, manyReaders, func(r *Replicator) { r.proposedAt -= leastGather }, 0},
		{"enough proposals", enoughWrites, manyReaders, func(*Replicator) {}, 0},
		{"the backend has locks", 2, manyReaders, func(r *Replicator) { r.cfg.ReadersFirst = false }, 0},
		{"it did not help", 2, manyReaders, func(r *Replicator) { r.readersFirst.rest = 1 }, 0},
	} {
		r := newReadersFirst(t, tc.queued, tc.reading)
		var alarm time.Duration
		r.wakeIn = func(d time.Duration) { alarm = d }
		tc.change(r)
		if missing, on := r.gathers(); missing != tc.missing || on != (tc.missing > 0) {
			t.Errorf("%s: gathers says %d, %v", tc.name, missing, on)
		}
		if tc.missing > 0 && alarm != leastGather*3/4 {
			t.Errorf("%s: wakes in %v", tc.name, alarm)
		}
	}
}

// The reader that leaves few of them wakes the loop, once, and the proposals go.
func TestReadersThatEndWakeTheLoop(t *testing.T) {
	r := newReadersFirst(t, 1, manyReaders)
	if _, on := r.gathers(); !on {
		t.Fatal("does not gather while many read")
	}
	woken := func() bool {
		select {
		case <-r.mail.signal:
			return true
		default:
			return false
		}
	}
	for range manyReaders - fewReaders {
		r.endRead()
		if _, on := r.gathers(); !on || woken() {
			t.Fatal("does not wait although there are more than a few readers")
		}
	}
	r.endRead()
	if !woken() {
		t.Fatal("the loop was not woken")
	}
	if _, on := r.gathers(); on {
		t.Error("gathers for few readers")
	}
	if r.endRead(); woken() {
		t.Error("a further reader woke the loop")
	}
}

// One client that writes among many that read waits for nobody after a while; with others it waits again.
func TestReadersGoFirstAsLongAsThatHelps(t *testing.T) {
	r := newReadersFirst(t, 1, manyReaders)
	waits := 0
	entry := func(joined int) {
		r.queue = r.queue[:1]
		if _, on := r.gathers(); on {
			waits++
			r.queue = slices.Repeat([]*proposal{{}}, 1+joined)
			r.proposedAt = -leastGather
			if _, on := r.gathers(); on {
				t.Fatal("gathers for too long")
			}
			r.proposedAt = 0
		}
		last, err := r.disk.memory.LastIndex()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.disk.memory.Append([]raftpb.Entry{{Term: 1, Index: last + 1}}); err != nil {
			t.Fatal(err)
		}
		r.commit.Store(last + 1)
		r.applied.Store(last + 1)
	}
	for range 500 {
		entry(0)
	}
	if waits > 10 {
		t.Errorf("a client that is alone waited after %d of 500 entries", waits)
	}
	for r.readersFirst.missed > 0 {
		entry(1)
	}
	waits = 0
	for range 10 {
		entry(1)
	}
	if waits != 10 {
		t.Errorf("those who are not alone waited after %d of 10 entries", waits)
	}
}

// However long others read, writes go on.
func TestWriteWhileManyRead(t *testing.T) {
	for _, leases := range []bool{false, true} {
		t.Run(fmt.Sprintf("leases=%v", leases), func(t *testing.T) {
			c := newTestCluster(t, 3, func(cfg *Config) { cfg.LeaseReads, cfg.ReadersFirst = leases, true })
			leader := c.nodes[c.leader()]
			ended := make(chan struct{})
			read := make(chan error, 2*manyReaders)
			for range cap(read) {
				go func() {
					read <- leader.Read(context.Background(), func(context.Context) error {
						<-ended
						return nil
					})
				}()
			}
			eventually(t, "all read", func() bool { return leader.readers.now.Load() == int64(cap(read)) })
			for i := range 20 {
				if _, err := leader.Propose(context.Background(), [][]byte{fmt.Appendf(nil, "set k%d v", i)}); err != nil {
					t.Errorf("write %d: %v", i, err)
				}
			}
			close(ended)
			for range cap(read) {
				if err := <-read; err != nil {
					t.Errorf("read: %v", err)
				}
			}
			if n := leader.readers.now.Load(); n != 0 {
				t.Errorf("%d readers are left", n)
			}
		})
	}
}
