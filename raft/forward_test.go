package raft

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hangingPeer is a RoundTripper to whom one peer takes proposals and says nothing until released.
type hangingPeer struct {
	next     http.RoundTripper
	url      string
	hung     atomic.Int32
	released chan struct{}
}

func (h *hangingPeer) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Path != pathPropose || !strings.HasPrefix(req.URL.String(), h.url) {
		return h.next.RoundTrip(req)
	}
	h.hung.Add(1)
	<-h.released
	<-req.Context().Done()
	return nil, context.Cause(req.Context())
}

// What is under way to a leader that hangs holds up nothing that goes to the next one.
func TestForwardToTheNextLeader(t *testing.T) {
	for _, tc := range []struct {
		name string
		hang func(ctx context.Context, c *testCluster, from int)
		want int32
	}{
		{"a command that may wait", func(ctx context.Context, c *testCluster, from int) {
			_, _ = c.nodes[from].Wait(ctx, time.Time{}, []byte("pop k"), func() {}, func() {})
		}, 1},
		{"as many writes as go", func(ctx context.Context, c *testCluster, from int) {
			_, _ = c.nodes[from].Propose(ctx, [][]byte{[]byte("push z 1")})
		}, maxForwards},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newListCluster(t, 3)
			lead := c.leader()
			from, next := (lead+1)%3, (lead+2)%3
			c.stop(from)
			h := &hangingPeer{url: c.urls[lead], released: make(chan struct{})}
			c.startWith(from, func(r *Replicator) { h.next, r.client.Transport = r.client.Transport, h })
			eventually(t, "follower that knows the leader", func() bool { return c.nodes[from].leader.Load() == c.nodes[lead].identity.ID })

			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			defer close(h.released)
			for h.hung.Load() < tc.want {
				before := h.hung.Load()
				go tc.hang(ctx, c, from)
				eventually(t, "request that hangs", func() bool { return h.hung.Load() > before })
			}
			if err := c.nodes[lead].TransferLeadership(t.Context(), c.nodes[next].identity.ID); err != nil {
				t.Fatal(err)
			}
			// Those requests still hang, whatever time this takes.
			c.propose(from, "push y 1")
		})
	}
}
