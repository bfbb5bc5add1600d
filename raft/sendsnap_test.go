package raft

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
)

// A member that does not take a snapshot is not sent it again at every heartbeat.
func TestResendPause(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	leader := c.nodes[c.leader()]
	to := c.idOf((c.leader() + 1) % 3)
	var pauses []time.Duration
	var left int
	err := leader.onLoop(context.Background(), func() error {
		for range 7 {
			leader.snapshotSent(to, etcdraft.SnapshotFailure)
			again := leader.resends[to]
			if again.due <= bootClock() {
				t.Errorf("after a failure a snapshot may be sent at once: %+v", again)
			}
			pauses = append(pauses, again.pause)
		}
		leader.snapshotSent(to, etcdraft.SnapshotFinish)
		left = len(leader.resends)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pauses[0] != minResendPause || pauses[1] != 2*minResendPause || pauses[6] != maxResendPause || left != 0 {
		t.Errorf("pauses %v, %d left after success", pauses, left)
	}
}

// Status tells how far a snapshot on its way is, until the transport has closed it.
func TestStatusTellsOfSending(t *testing.T) {
	c := &testCluster{t: t, urls: []string{"http://127.0.0.1:1"}, dirs: []string{t.TempDir()}, stores: []*mapStore{newMapStore()}}
	r, err := New(c.config(0))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	send := func() *outgoing {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		o := &outgoing{body: &body{File: f}, r: r, to: 7, size: 100, begun: time.Now()}
		r.sending.put(o)
		if _, err := io.ReadFull(o, make([]byte, 40)); err != nil {
			t.Fatal(err)
		}
		return o
	}
	first := send()
	if got := r.Status().Sending; len(got) != 1 || got[7] != (Sending{Sent: 40, Size: 100}) {
		t.Errorf("got %v", got)
	}
	second := send() // before the end of the first is noticed
	for _, o := range []*outgoing{first, second, second} {
		if got := r.Status().Sending; len(got) == 0 && !second.ended.Load() {
			t.Errorf("got %v while one is on its way", got)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := r.Status().Sending; got != nil {
		t.Errorf("got %v when none is", got)
	}
}
