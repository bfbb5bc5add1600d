package raft

import (
	"context"
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
