package raft

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
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

// A body is read whole, whatever its size, and one of which little comes costs little, whatever it promises.
func TestReadBody(t *testing.T) {
	const limit = 1 << 20
	for _, size := range []int{0, 1, trustedBytes - 1, trustedBytes, trustedBytes + 1, 4 * trustedBytes, 4*trustedBytes + 1, limit} {
		want := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		req := httptest.NewRequest(http.MethodPost, pathPropose, iotest.HalfReader(bytes.NewReader(want)))
		req.ContentLength = int64(size)
		if got, err := readBody(req, limit); err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d of %d bytes: %v", len(got), size, err)
		}
	}
	for _, promised := range []int64{-1, 1 << 40, limit + 1} {
		req := httptest.NewRequest(http.MethodPost, pathPropose, strings.NewReader("x"))
		req.ContentLength = promised
		if _, err := readBody(req, limit); err == nil {
			t.Errorf("read a body of %d bytes", promised)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		req := httptest.NewRequest(http.MethodPost, pathPropose, strings.NewReader("x"))
		req.ContentLength = 16 << 20
		if _, err := readBody(req, 16<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
	}
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 16<<20 {
		t.Errorf("10 requests that sent a byte each took %d bytes", taken)
	}
}
