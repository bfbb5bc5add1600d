package raft

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// FuzzNodePort is what anybody who reaches the port of a node URL could send to a node that serves. It is answered, and
// the node goes on.
func FuzzNodePort(f *testing.F) {
	r := startAlone(f)
	cluster := formatID(r.identity.Cluster)
	for _, request := range []string{
		"GET " + pathIdentity, "POST " + pathPropose, "GET " + pathWait, "POST " + pathMembership, "GET " + pathDigest, "GET " + pathStatus,
		"GET " + pathSnapshot, "POST " + pathQuarantine, "POST /raft", "POST /raft/snapshot", "GET /raft/stream/msgapp/1", "GET /raft/stream/message/x",
		"GET /raft/probing", "GET /nosuch",
	} {
		for _, header := range []string{headerCluster + ": " + cluster, headerCluster + ": 1", "X-Etcd-Cluster-ID: " + strings.TrimLeft(cluster, "0") + "\r\nX-Server-Version: 3.5.0\r\nX-Server-From: 1\r\nX-Raft-To: 1"} {
			f.Add([]byte(request + " HTTP/1.1\r\nHost: node\r\n" + header + "\r\nContent-Length: 4\r\n\r\n\x08\x01\x10\x02"))
		}
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
		if err != nil {
			return
		}
		if req.URL.Path == pathMembership || req.URL.Path == pathQuarantine {
			return // with the id of the cluster they do what they are for
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		answerTo(t, r, req.WithContext(ctx))
		if err := r.Err(); err != nil {
			t.Fatalf("the node stopped: %v", err)
		}
		if s := r.Status(); !s.Serving {
			t.Fatalf("the node does not serve: %s", s.Problem)
		}
	})
}

// answerTo has the node answer a request. Where rafthttp wants to cut off a connection it panics with the reason, which the
// server of the port takes for that.
func answerTo(t *testing.T, r *Replicator, req *http.Request) {
	t.Helper()
	defer func() {
		p := recover()
		if err, meant := p.(error); p != nil && (!meant || errors.As(err, new(runtime.Error))) {
			t.Fatalf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	r.server.Handler.ServeHTTP(httptest.NewRecorder(), req)
}

// startAlone returns a node that is its whole cluster and serves. It stops when the test ends.
func startAlone(f *testing.F) *Replicator {
	f.Helper()
	cfg := NewConfig()
	cfg.NodeURL = freeURL(f)
	cfg.ClusterURLs = []string{cfg.NodeURL}
	cfg.Store, cfg.DataDir = newMapStore(), f.TempDir()
	cfg.Tick = 20 * time.Millisecond
	cfg.Logger = slog.New(slog.DiscardHandler)
	r, err := New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
	defer cancel()
	if err := r.Start(ctx); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.Stop(ctx); err != nil {
			f.Error(err)
		}
	})
	for !r.Status().Serving {
		select {
		case <-ctx.Done():
			f.Fatalf("the node does not serve: %s", r.Status().Problem)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return r
}
