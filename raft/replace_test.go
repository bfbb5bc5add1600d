package raft

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// A member loses its disk and comes back at the same URL: it waits, because it must not vote with a new memory, until it
// is put in the place of the one that it was.
func TestReplaceMember(t *testing.T) {
	c := newTestCluster(t, 3, often)
	c.count(60)
	lost := (c.leader() + 1) % 3
	live := c.leader()
	old := c.nodes[lost].identity.ID
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.nodes[live].ReplaceMember(ctx, c.urls[lost], c.urls[lost]); !errors.Is(err, ErrRefused) {
		t.Errorf("replaced a member that has its data: %v", err)
	}
	c.stop(lost)
	c.dirs[lost] = t.TempDir()
	c.stores[lost] = newMapStore()
	c.count(40)
	replaced := make(chan error, 1)
	go func() { replaced <- c.nodes[live].ReplaceMember(ctx, c.urls[lost], c.urls[lost]) }()
	c.start(lost)
	if err := <-replaced; err != nil {
		t.Fatal(err)
	}
	c.converged()
	if got := c.propose(lost, "n+"); got != "101" {
		t.Errorf("counter is %s, want 101", got)
	}
	if !c.nodes[live].membership.isRemoved(old) || len(c.nodes[live].Members()) != 3 {
		t.Errorf("members are %v", c.nodes[live].Members())
	}
	// Once more is done already.
	if err := c.nodes[live].ReplaceMember(ctx, c.urls[lost], c.urls[lost]); !errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
	short, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	if err := c.nodes[live].ReplaceMember(short, "http://127.0.0.1:1", freeURL(t)); err == nil {
		t.Error("replaced a stranger")
	}
}

// A node that cannot be added must not cost the one in whose place it was to come.
func TestReplaceMemberByAStranger(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	live := c.leader()
	lost := (live + 1) % 3
	c.stop(lost)
	var stranger introduction
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, stranger) }))
	defer server.Close()
	stranger = introduction{ClusterName: c.nodes[live].cfg.ClusterName, Cluster: 77, ID: 7, URL: server.URL}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.nodes[live].ReplaceMember(ctx, c.urls[lost], server.URL); !errors.Is(err, ErrRefused) {
		t.Errorf("replaced by a node of another cluster: %v", err)
	}
	if _, ok := c.nodes[live].membership.byURL(c.urls[lost]); !ok {
		t.Error("what was to be replaced is gone")
	}
}

// What broke off a replacement after the removal is not told as something that changed nothing, and not asked of another
// leader, who would refuse it.
func TestReplaceMemberBrokenOff(t *testing.T) {
	r := &Replicator{membership: newMemberSet()}
	r.membership.put(Member{ID: 4, URL: "http://d:1"})
	for _, tc := range []struct {
		by            string
		err           error
		again, unsure bool
	}{
		{"http://c:1", errNotLeader, false, false},
		{"http://c:1", ErrRefused, false, false},
		{"http://c:1", fmt.Errorf("%w: %w", ErrOutcomeUnknown, errors.New("late")), false, true},
		{"http://a:1", errNotLeader, true, false},
		{"http://d:1", errNotLeader, true, false},
	} {
		err := r.halfReplaced("http://a:1", tc.by, tc.err)
		if errors.Is(err, errNotLeader) != tc.again || errors.Is(err, ErrOutcomeUnknown) != tc.unsure || errors.Is(err, ErrRefused) {
			t.Errorf("by %s, %v: %v", tc.by, tc.err, err)
		}
	}
}

func TestRemoveMemberForced(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	leader := c.leader()
	dead, other := (leader+1)%3, (leader+2)%3
	c.stop(dead)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.nodes[leader].RemoveMember(ctx, c.urls[other], false); !errors.Is(err, ErrRefused) {
		t.Errorf("removed a live member beside a dead one: %v", err)
	}
	if err := c.nodes[leader].RemoveMember(ctx, c.urls[dead], false); err != nil {
		t.Errorf("remove the dead one: %v", err)
	}
	if err := c.nodes[leader].RemoveMember(ctx, c.urls[other], true); err != nil {
		t.Errorf("forced: %v", err)
	}
	c.stop(other)
	c.propose(leader, "k=1")
}

// idOf returns the id of the member at the URL of node i.
func (c *testCluster) idOf(i int) uint64 {
	for _, r := range c.nodes {
		if r != nil {
			m, _ := r.membership.byURL(c.urls[i])
			return m.ID
		}
	}
	return 0
}

// A replacement that was broken off between its steps, as by a change of leader, goes on when it is asked for again.
func TestReplaceMemberGoesOn(t *testing.T) {
	c := newTestCluster(t, 3, often)
	c.count(20)
	live := c.leader()
	lost := (live + 1) % 3
	c.stop(lost)
	c.dirs[lost] = t.TempDir()
	c.stores[lost] = newMapStore()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	begun := make(chan error, 1)
	go func() {
		leader := c.nodes[live]
		peer, err := leader.meet(ctx, c.urls[lost])
		if err == nil {
			err = leader.removeAsLeader(ctx, c.urls[lost], false)
		}
		if err == nil {
			err = leader.proposeChange(ctx, raftpb.ConfChangeAddLearnerNode, peer.ID, c.urls[lost])
		}
		begun <- err
	}()
	c.start(lost)
	if err := <-begun; err != nil {
		t.Fatal(err)
	}
	if err := c.nodes[live].ReplaceMember(ctx, c.urls[lost], c.urls[lost]); err != nil {
		t.Fatal(err)
	}
	if m, ok := c.nodes[live].membership.byURL(c.urls[lost]); !ok || m.Learner {
		t.Errorf("the new member is %+v, want a voter", m)
	}
}

// A new node at the URL of a first member may have been added before it finds out that there is a cluster. It joins
// that; it must not found another one together with the members that it meets.
func TestReplacedMemberJoins(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.count(20)
	live := c.leader()
	lost := (live + 1) % 3
	leader := c.nodes[live]
	c.stop(lost)
	c.dirs[lost] = t.TempDir()
	c.stores[lost] = newMapStore()
	cfg := c.config(lost)
	fresh, err := makeIdentity(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := leader.removeAsLeader(ctx, c.urls[lost], false); err != nil {
		t.Fatal(err)
	}
	if err := leader.proposeChange(ctx, raftpb.ConfChangeAddLearnerNode, fresh.ID, c.urls[lost]); err != nil {
		t.Fatal(err)
	}
	c.start(lost)
	if got, want := c.nodes[lost].identity.Cluster, leader.identity.Cluster; got != want {
		t.Fatalf("it is in cluster %x, want %x", got, want)
	}
	if err := leader.ReplaceMember(ctx, c.urls[lost], c.urls[lost]); err != nil {
		t.Fatal(err)
	}
	if got := c.propose(lost, "n+"); got != "21" {
		t.Errorf("counter is %s, want 21", got)
	}
}

// A first member that ended before it noted the cluster finds it noted by another, also when not all of them are up.
func TestFirstMemberComesLate(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	live := c.leader()
	late, down := (live+1)%3, (live+2)%3
	id := c.nodes[late].identity
	want := id.Cluster
	id.Cluster, id.Bootstrap = 0, nil
	c.stop(late)
	c.stop(down)
	r, err := New(c.config(late))
	if err != nil {
		t.Fatal(err)
	}
	r.identity = id
	if err := r.meetFirstMembers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.identity.Cluster != want || len(r.identity.Bootstrap) != 3 {
		t.Errorf("it is in cluster %x with first members %v, want %x and 3", r.identity.Cluster, r.identity.Bootstrap, want)
	}
}
