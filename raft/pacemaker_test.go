package raft

import (
	"context"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// longEntry takes less to write than its size allows for, and longer than the others wait for word of their leader, which is so
// long here that a busy machine gets round to who has to say it.
const (
	longEntry = 6 * longWrite
	writeTime = 1200 * time.Millisecond
)

func unhurried(cfg *Config) { cfg.Tick, cfg.Timeout = 100*time.Millisecond, time.Minute }

// slowLog takes its time for a long entry.
type slowLog struct {
	writeAheadLog
	slept chan struct{} // gets a token
}

func (l slowLog) Save(state raftpb.HardState, entries []raftpb.Entry) error {
	bytes := 0
	for i := range entries {
		bytes += len(entries[i].Data)
	}
	if bytes >= longEntry {
		time.Sleep(writeTime)
		select {
		case l.slept <- struct{}{}:
		default:
		}
	}
	return l.writeAheadLog.Save(state, entries)
}

// slowDown gives a node a slow log. It puts large entries into that as a whole.
func slowDown(n *Replicator) (slept <-chan struct{}) {
	slow := slowLog{slept: make(chan struct{}, 1)}
	ready := make(chan struct{})
	n.mail.call(func() {
		slow.writeAheadLog, n.wholeBytes = n.disk.wal, 2*longEntry
		n.disk.wal = slow
		close(ready)
	})
	<-ready
	return slow.slept
}

// A leader keeps its office while it writes a large entry, which takes it longer than the others wait for word of it.
func TestLeaderStaysDuringLongWrite(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, 3, unhurried)
	leader := c.nodes[c.leader()]
	slept := slowDown(leader)
	c.proposeLong(leader)
	<-slept
}

// Nor does it lose its office while the others write the entry, and answer nothing meanwhile.
func TestLeaderStaysDuringLongWriteOfOthers(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, 3, unhurried)
	leader := c.nodes[c.leader()]
	leader.mail.call(func() { leader.wholeBytes = 2 * longEntry })
	for _, n := range c.nodes {
		if n != leader {
			slowDown(n)
		}
	}
	c.proposeLong(leader)
}

// proposeLong has a leader put a long entry into its log, and expects it to be the leader of the same term afterwards.
func (c *testCluster) proposeLong(leader *Replicator) {
	c.t.Helper()
	term := leader.Status().Term
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := leader.Propose(ctx, [][]byte{make([]byte, longEntry)}); err != nil {
		c.t.Errorf("large proposal: %v", err)
	}
	if s := leader.Status(); s.Term != term || s.Role != "leader" {
		c.t.Errorf("%s in term %d afterwards, was the leader in term %d", s.Role, s.Term, term)
	}
}

// slowStore takes its time for large commands.
type slowStore struct{ Store }

func (s slowStore) Apply(ctx context.Context, entries []Entry) error {
	for _, e := range entries {
		for _, c := range e.Commands {
			if len(c.Data) >= slowDisk {
				time.Sleep(applyStall + time.Second)
			}
		}
	}
	return s.Store.Apply(ctx, entries)
}

// A backend that works on a large entry is not taken for one that hangs. Who leads while it is written is another matter.
func TestLeaderStaysDuringLongApply(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, 3, func(cfg *Config) {
		unhurried(cfg)
		cfg.ElectionTicks = 50 // or a busy machine elects another
		cfg.Store = slowStore{cfg.Store}
	})
	proposed := make(chan error, 1)
	by := c.nodes[c.leader()]
	go func() {
		_, err := by.Propose(context.Background(), [][]byte{make([]byte, 3*slowDisk)})
		proposed <- err
	}()
	var leader *Replicator
	var term uint64
	eventually(t, "a leader that applies", func() bool {
		for _, r := range c.nodes {
			if s := r.Status(); s.Role == "leader" && r.applying.Load() != 0 {
				leader, term = r, s.Term
			}
		}
		return leader != nil
	})
	if err := <-proposed; err != nil {
		t.Errorf("large proposal: %v", err)
	}
	eventually(t, "the time for a large entry to be over", func() bool { return leader.applying.Load() == 0 })
	if s := leader.Status(); s.Term != term || s.Role != "leader" {
		t.Errorf("%s in term %d afterwards, was the leader in term %d", s.Role, s.Term, term)
	}
}
