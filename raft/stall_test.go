package raft

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// heldLog writes nothing until it is released.
type heldLog struct {
	writeAheadLog
	released chan struct{}
}

func (l *heldLog) Save(state raftpb.HardState, entries []raftpb.Entry) error {
	<-l.released
	return l.writeAheadLog.Save(state, entries)
}

// A leader whose disk hangs says so, refuses at once, and serves again when the disk goes on; the others do without it.
func TestDiskOfLogHangs(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t, 3, nil)
	old := c.leader()
	c.propose(old, "a=1")
	r := c.nodes[old]
	held := &heldLog{released: make(chan struct{})}
	release := sync.OnceFunc(func() { close(held.released) })
	t.Cleanup(release) // or the node does not stop
	err := r.onLoop(t.Context(), func() error {
		held.writeAheadLog = r.disk.wal
		r.disk.wal = held
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = r.Propose(t.Context(), [][]byte{[]byte("a=2")}) }() // it never hears
	const says = "the disk of the data directory has not taken what was written to the log for"
	eventually(t, "the node to say what is wrong", func() bool {
		s := r.Status()
		return !s.Serving && strings.HasPrefix(s.Problem, says)
	})
	if _, err := r.Propose(t.Context(), [][]byte{[]byte("a=3")}); !errors.Is(err, ErrNotDone) || !strings.Contains(err.Error(), says) {
		t.Errorf("a write is told %v", err)
	}
	other := (old + 1) % 3
	eventually(t, "another to serve", func() bool {
		_, err := c.nodes[other].Propose(t.Context(), [][]byte{[]byte("b=1")})
		return err == nil
	})
	release()
	eventually(t, "the node to serve again", func() bool { return r.Status().Serving })
	if got := c.read(old, "b"); got != "1" {
		t.Errorf("it reads %q", got)
	}
}
