package raft

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// leaderOf answers the requests to a leader.
type leaderOf func(*http.Request) (*http.Response, error)

func (l leaderOf) RoundTrip(req *http.Request) (*http.Response, error) { return l(req) }

// A node that asks to be removed may learn from the log that it was, before the leader answers.
func TestRemovingItselfSucceedsWithoutAnAnswer(t *testing.T) {
	for _, tc := range []struct {
		name  string
		asked int // the node to remove
		fails error
		ok    bool
	}{
		{"removed", 0, ErrRemoved, true},
		{"stopped", 0, errors.New("stop"), false},
		{"another was to be removed", 1, ErrRemoved, false},
	} {
		c := &testCluster{t: t, urls: []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}, dirs: []string{t.TempDir(), ""}, stores: []*mapStore{newMapStore(), nil}}
		r, err := New(c.config(0))
		if err != nil {
			t.Fatal(err)
		}
		r.membership.put(Member{ID: 7, URL: c.urls[1]})
		r.leader.Store(7)
		close(r.running)
		r.client.Transport = leaderOf(func(req *http.Request) (*http.Response, error) {
			r.cancel(fmt.Errorf("%w: %w", ErrStopped, tc.fails))
			<-req.Context().Done()
			return nil, context.Cause(req.Context())
		})
		if err := r.RemoveMember(t.Context(), c.urls[tc.asked]+"/", false); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err := r.RemoveMember(t.Context(), c.urls[0], false); err == nil {
			t.Errorf("%s: removed again", tc.name)
		}
	}
}

func TestMembership(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.propose(0, "k=v")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	joiner := c.config(0)
	joiner.NodeURL, joiner.DataDir = freeURL(t), t.TempDir()
	store := newMapStore()
	joiner.Store = store
	fourth, err := New(joiner)
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- fourth.Start(ctx) }()
	defer fourth.Stop(context.Background())
	follower := (c.leader() + 1) % 3
	if err := c.nodes[follower].AddMember(ctx, secure(joiner.NodeURL)); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "reached by http://") {
		t.Errorf("add a node by TLS where the others have none: %v", err)
	}
	if err := c.nodes[follower].AddMember(ctx, joiner.NodeURL); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if err := c.nodes[follower].AddMember(ctx, joiner.NodeURL); err != nil {
		t.Fatalf("adding a member again: %v", err)
	}
	eventually(t, "the new member to hold the data", func() bool { return store.get("k") == "v" })
	if n := len(c.nodes[follower].Members()); n != 4 {
		t.Fatalf("%d members, want 4", n)
	}

	leader := c.leader()
	if err := c.nodes[leader].RemoveMember(ctx, c.urls[leader], false); err != nil {
		t.Fatalf("remove the leader: %v", err)
	}
	eventually(t, "the removed node to notice", func() bool { return errors.Is(c.nodes[leader].Err(), ErrRemoved) })
	if _, err := c.nodes[leader].Propose(ctx, [][]byte{[]byte("k=w")}); !errors.Is(err, ErrRemoved) || !errors.Is(err, ErrNotDone) {
		t.Fatalf("propose on a removed node: %v", err)
	}
	if err := fourth.Read(ctx, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := fourth.RemoveMember(ctx, "http://127.0.0.1:1", false); !errors.Is(err, ErrRefused) {
		t.Fatalf("remove a stranger: %v", err)
	}
}

// A change of the members that waits does not outlast its node.
func TestMembershipChangeEndsWithTheNode(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.leader()
	node := c.nodes[0]
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	var wg sync.WaitGroup
	for _, change := range []func(context.Context) error{
		func(ctx context.Context) error { return node.AddMember(ctx, "http://127.0.0.1:1") },
		func(ctx context.Context) error { return node.ReplaceMember(ctx, c.urls[0], "http://127.0.0.1:1") },
	} {
		wg.Go(func() {
			if err := change(ctx); !errors.Is(err, ErrStopped) {
				t.Errorf("got %v", err)
			}
		})
	}
	eventually(t, "a change under way", func() bool { return len(node.changeTurn) > 0 })
	c.stop(0)
	wg.Wait()
}

// A member that was away while another joined, and became the leader, does not know it. It answers it all the same.
func TestMemberAwayWhileAnotherJoins(t *testing.T) {
	c := newTestCluster(t, 3, func(cfg *Config) { cfg.SnapshotCount = 5 })
	away := (c.leader() + 1) % 3
	c.stop(away)
	here := (away + 1) % 3
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	joiner := c.config(here)
	joiner.NodeURL, joiner.DataDir, joiner.Store = freeURL(t), t.TempDir(), newMapStore()
	fourth, err := New(joiner)
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- fourth.Start(ctx) }()
	defer fourth.Stop(context.Background())
	if err := c.nodes[here].AddMember(ctx, joiner.NodeURL); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if err := c.nodes[here].TransferLeadership(ctx, fourth.Status().ID); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		c.propose(here, fmt.Sprintf("k=%d", i))
	}
	for _, r := range c.nodes {
		if r != nil {
			if err := r.Snapshot(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := fourth.Snapshot(ctx); err != nil {
		t.Fatal(err)
	}
	c.start(away)
	eventually(t, "the member that was away to catch up", func() bool { return c.stores[away].get("k") == "19" })
}
