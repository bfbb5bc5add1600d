package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

type links struct{ *clustertest.Links }

func newLinks(t *testing.T, flags ...string) *links {
	t.Helper()
	l := &links{clustertest.NewLinks(t, newCluster(t, cluster.Options{Apart: true, Flags: flags}))}
	check(t, l.StartReady(within(t, 40*time.Second)))
	return l
}

func (l *links) leaderAndFollower(t *testing.T) (leader, follower *cluster.Node) {
	t.Helper()
	leader = must(l.Leader(within(t, 40*time.Second)))(t)
	return leader, must(l.Follower(within(t, 40*time.Second)))(t)
}

func leaderKilled(t *testing.T, l *links) (*cluster.Node, func()) {
	leader, follower := l.leaderAndFollower(t)
	check(t, leader.Kill())
	return follower, func() { check(t, leader.Start()) }
}

// leaderKilledUnder kills the leader when the client has sent its command: a pause holds it there.
func leaderKilledUnder(t *testing.T, l *links) (*cluster.Node, func()) {
	leader, _ := l.leaderAndFollower(t)
	check(t, leader.Pause())
	killed := make(chan error, 1)
	time.AfterFunc(200*time.Millisecond, func() { killed <- leader.Kill() })
	return leader, func() {
		check(t, <-killed)
		check(t, leader.Start())
	}
}

func leaderStopped(t *testing.T, l *links) (*cluster.Node, func()) {
	leader, follower := l.leaderAndFollower(t)
	stopped := make(chan error, 1)
	go func() { stopped <- leader.Stop(10 * time.Second) }()
	return follower, func() {
		check(t, <-stopped)
		check(t, leader.Start())
	}
}

func minorityFollower(t *testing.T, l *links) (*cluster.Node, func()) {
	_, follower := l.leaderAndFollower(t)
	l.CutOff(follower)
	eventually(t, 40*time.Second, func() error {
		status, err := follower.Status(within(t, time.Second))
		if err == nil && status.GetLeader() != 0 {
			err = errors.New("it still believes in a leader")
		}
		return err
	})
	return follower, l.Net.Heal
}

// minorityForLong lets a command tell when the node has missed the leader for longer than an election takes.
func minorityForLong(t *testing.T, l *links) (*cluster.Node, func()) {
	follower, mend := minorityFollower(t, l)
	if reply, err := raw(follower, "GET", "known"); err != nil || !strings.Contains(reply, "no leader") {
		t.Errorf("%q, %v", reply, err)
	}
	return follower, mend
}

func minorityLeader(t *testing.T, l *links) (*cluster.Node, func()) {
	leader, _ := l.leaderAndFollower(t)
	l.CutOff(leader)
	return leader, l.Net.Heal
}

func handedBefore(t *testing.T, l *links) (*cluster.Node, func()) {
	_, follower := l.leaderAndFollower(t)
	l.CutOff(follower)
	return follower, l.Net.Heal
}

func clientPaused(t *testing.T, l *links) (*cluster.Node, func()) {
	_, follower := l.leaderAndFollower(t)
	check(t, follower.Pause())
	resumed := make(chan error, 1)
	time.AfterFunc(pauseTime, func() { resumed <- follower.Resume() })
	return follower, func() { check(t, <-resumed) }
}

func leaderPaused(t *testing.T, l *links) (*cluster.Node, func()) {
	leader, follower := l.leaderAndFollower(t)
	check(t, leader.Pause())
	return follower, func() { check(t, leader.Resume()) }
}

func backendDown(t *testing.T, l *links) (*cluster.Node, func()) {
	_, follower := l.leaderAndFollower(t)
	check(t, follower.Backend.Kill())
	notServing(t, follower)
	return follower, func() { check(t, follower.Backend.Start()) }
}

func notServing(t *testing.T, n *cluster.Node) {
	t.Helper()
	eventually(t, 40*time.Second, func() error {
		err := n.Ready(within(t, time.Second))
		if err == nil || !strings.Contains(err.Error(), "not serving: ") {
			return fmt.Errorf("%s does not say that it does not serve: %w", n.Name, err)
		}
		return nil
	})
}

func backendEmptied(t *testing.T, l *links) (*cluster.Node, func()) {
	_, follower := l.leaderAndFollower(t)
	backend := follower.Backend.Client(0)
	defer backend.Close()
	check(t, backend.FlushAll(within(t, 40*time.Second)).Err())
	books := follower.Backend.Client(cluster.MetadataDB)
	defer books.Close()
	eventually(t, 40*time.Second, func() error { // until then, reads may see the damage
		if size, err := books.DBSize(within(t, time.Second)).Result(); err != nil || size == 0 {
			return fmt.Errorf("the node has not noticed: %d, %w", size, err)
		}
		return nil
	})
	return follower, func() {}
}

func backendHung(t *testing.T, l *links) (*cluster.Node, func()) {
	_, follower := l.leaderAndFollower(t)
	check(t, follower.Backend.Pause())
	return follower, func() { check(t, follower.Backend.Resume()) }
}

func backendHungNoticed(t *testing.T, l *links) (*cluster.Node, func()) {
	follower, mend := backendHung(t, l)
	notServing(t, follower)
	return follower, mend
}

func nodeStarting(t *testing.T, l *links) (*cluster.Node, func()) {
	_, follower := l.leaderAndFollower(t)
	check(t, follower.Kill())
	check(t, follower.Backend.Kill())
	check(t, follower.Start())
	eventually(t, 40*time.Second, func() error {
		reply, err := raw(follower, "GET", "known")
		if err == nil && strings.Contains(reply, "not ready yet") { // it reads its log
			err = errors.New(reply)
		}
		return err
	})
	return follower, func() { check(t, follower.Backend.Start()) }
}

// positionDeleted takes the node's books from its backend, where data stays: it stops, and its clients lose it.
func positionDeleted(t *testing.T, l *links) (*cluster.Node, func()) {
	_, follower := l.leaderAndFollower(t)
	books := follower.Backend.Client(cluster.MetadataDB)
	t.Cleanup(func() { books.Close() })
	check(t, books.FlushDB(within(t, 40*time.Second)).Err())
	select {
	case <-follower.Exited():
	case <-time.After(40 * time.Second):
		t.Fatalf("%s goes on with a backend that lost its position", follower.Name)
	}
	return follower, func() {
		check(t, books.FlushAll(within(t, 40*time.Second)).Err())
		check(t, follower.Start())
	}
}

func waitingToJoin(t *testing.T, l *links) (*cluster.Node, func()) {
	added := must(l.AddNode())(t)
	check(t, l.Net.Listen(added.Name, cluster.Address(added.Raft), added.RaftAddr()))
	check(t, added.Backend.StartReady(within(t, 40*time.Second)))
	check(t, added.Start())
	eventually(t, 40*time.Second, func() error {
		err := added.Ready(within(t, time.Second))
		if err == nil || !strings.Contains(err.Error(), "not yet a member") {
			return fmt.Errorf("it is not waiting: %w", err)
		}
		return nil
	})
	return added, func() {
		check(t, added.Kill())
		l.Nodes = l.Nodes[:len(l.Nodes)-1]
	}
}

func nodeRemoved(t *testing.T, l *links) (*cluster.Node, func()) {
	leader, follower := l.leaderAndFollower(t)
	if out, err := repl(t, leader, "removeNode", follower.URL()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	notServing(t, follower)
	return follower, func() {
		check(t, follower.Kill())
		l.Nodes = survivors(l.Cluster, follower)
	}
}
