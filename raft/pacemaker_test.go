package raft

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// slowLog takes its time for as much as a leader puts into its log at once of a large entry.
type slowLog struct {
	writeAheadLog
	slept chan struct{} // gets a token
}

func (l slowLog) Save(state raftpb.HardState, entries []raftpb.Entry) error {
	bytes := 0
	for i := range entries {
		bytes += len(entries[i].Data)
	}
	if bytes >= longWrite {
		time.Sleep(300 * time.Millisecond) // more than an election timeout
		select {
		case l.slept <- struct{}{}:
		default:
		}
	}
	return l.writeAheadLog.Save(state, entries)
}

// A leader keeps its office while it writes a large entry, which takes it longer than the others wait for word of it. A machine that does
// not run it for so long takes it from it all the same, so it has three tries.
func TestLeaderStaysDuringLongWrite(t *testing.T) {
	t.Parallel()
	var lost []error
	for len(lost) < 3 {
		err := staysDuringLongWrite(t)
		if err == nil {
			return
		}
		lost = append(lost, err)
	}
	t.Error(lost)
}

func staysDuringLongWrite(t *testing.T) error {
	c := newTestCluster(t, 3, func(cfg *Config) { cfg.Timeout = time.Minute })
	leader := c.nodes[c.leader()]
	slow := slowLog{slept: make(chan struct{}, 1)}
	leader.mail.call(func() {
		slow.writeAheadLog = leader.disk.wal
		leader.disk.wal = slow
	})
	term := leader.Status().Term
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := leader.Propose(ctx, [][]byte{make([]byte, 4*longWrite)}); err != nil {
		return fmt.Errorf("large proposal: %w", err)
	}
	<-slow.slept
	if s := leader.Status(); s.Term != term || s.Role != "leader" {
		return fmt.Errorf("%s in term %d afterwards, was the leader in term %d", s.Role, s.Term, term)
	}
	return nil
}

// Nor does it lose its office while the others write the entry, and answer nothing meanwhile.
func TestLeaderStaysDuringLongWriteOfOthers(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, 3, func(cfg *Config) { cfg.Timeout = time.Minute })
	leader := c.nodes[c.leader()]
	for _, n := range c.nodes {
		if n == leader {
			continue
		}
		ready := make(chan struct{})
		n.mail.call(func() {
			n.disk.wal = slowLog{writeAheadLog: n.disk.wal, slept: make(chan struct{}, 1)}
			close(ready)
		})
		<-ready
	}
	term := leader.Status().Term
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := leader.Propose(ctx, [][]byte{make([]byte, 4*longWrite)}); err != nil {
		t.Errorf("large proposal: %v", err)
	}
	if s := leader.Status(); s.Term != term || s.Role != "leader" {
		t.Errorf("%s in term %d afterwards, was the leader in term %d", s.Role, s.Term, term)
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

// A backend that works on a large entry is not taken for one that hangs.
func TestLeaderStaysDuringLongApply(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, 3, func(cfg *Config) { cfg.Store, cfg.Timeout = slowStore{cfg.Store}, time.Minute })
	leader := c.nodes[c.leader()]
	term := leader.Status().Term
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if _, err := leader.Propose(ctx, [][]byte{make([]byte, 3*slowDisk)}); err != nil {
		t.Errorf("large proposal: %v", err)
	}
	eventually(t, "the time for a large entry to be over", func() bool { return leader.applying.Load() == 0 })
	if s := leader.Status(); s.Term != term || s.Role != "leader" {
		t.Errorf("%s in term %d afterwards, was the leader in term %d", s.Role, s.Term, term)
	}
}
