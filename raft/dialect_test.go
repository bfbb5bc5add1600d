package raft

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// elders are members that seem to be of the version before pieces, or do not say what they are.
type elders struct {
	mu   sync.Mutex
	old  map[string]bool // by host
	mute map[string]bool
}

// ask sends a request over next.
func (e *elders) ask(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	e.mu.Lock()
	old, mute := e.old[req.URL.Host], e.mute[req.URL.Host]
	e.mu.Unlock()
	switch {
	case req.URL.Path != pathIdentity || !old && !mute:
		return next.RoundTrip(req)
	case mute:
		return nil, errors.New("connection refused")
	}
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var said map[string]any
	decoder := json.NewDecoder(resp.Body)
	decoder.UseNumber() // of 64 bits
	if err := decoder.Decode(&said); err != nil {
		return nil, err
	}
	delete(said, "entryVersion")
	data, err := json.Marshal(said)
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return resp, err
}

// become says what a member is from now on.
func (e *elders) become(url string, old, mute bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	host := strings.TrimPrefix(url, "http://")
	e.old[host], e.mute[host] = old, mute
}

// proposeLarge reports whether an entry stands in the log in pieces.
func (c *testCluster) proposeLarge(leader int) (cut bool) {
	c.t.Helper()
	out, err := c.nodes[leader].Propose(context.Background(), [][]byte{[]byte("k=" + strings.Repeat("v", 500))})
	if err != nil {
		c.t.Fatal(err)
	}
	entries, err := c.nodes[leader].disk.memory.Entries(out.Index, out.Index+1, math.MaxUint64)
	if err != nil {
		c.t.Fatal(err)
	}
	return isPiece(&entries[0])
}

// A member of an older version stops at a piece, so there are none before all are known to read them.
func TestPiecesOnlyForThoseWhoReadThem(t *testing.T) {
	c := newTestCluster(t, 3, func(cfg *Config) { cfg.Tick = 100 * time.Millisecond })
	for i := range c.nodes {
		c.stop(i)
	}
	e := &elders{old: make(map[string]bool), mute: make(map[string]bool)}
	for i := range c.nodes {
		e.become(c.urls[i], i == 0, i != 0)
		c.startWith(i, func(r *Replicator) {
			r.wholeBytes, r.pieceBytes = 200, 100
			next := r.client.Transport
			r.client.Transport = leaderOf(func(req *http.Request) (*http.Response, error) { return e.ask(next, req) })
		})
	}
	leader := c.leader()
	old, other := (leader+1)%3, (leader+2)%3
	if c.proposeLarge(leader) {
		t.Error("pieces, though nobody has said that it reads them")
	}
	reading := func(i int) func() bool {
		return func() bool { return c.nodes[leader].dialects.of(c.nodes[i].identity.ID).entries >= pieceVersion }
	}
	e.become(c.urls[old], true, false)
	e.become(c.urls[other], false, false)
	eventually(t, "member that says that it reads pieces", reading(other))
	if c.proposeLarge(leader) {
		t.Error("pieces, though a member is of an older version")
	}
	e.become(c.urls[old], false, true)
	if c.proposeLarge(leader) {
		t.Error("pieces, though a member does not answer")
	}
	e.become(c.urls[old], false, false)
	eventually(t, "member that was upgraded", reading(old))
	if !c.proposeLarge(leader) {
		t.Error("no pieces, though every member reads them")
	}
	e.become(c.urls[old], false, true)
	if !c.proposeLarge(leader) {
		t.Error("no pieces, though the member that does not answer now has told that it reads them")
	}
	c.converged()

	elder := introduction{ClusterName: c.nodes[0].cfg.ClusterName, ID: 7, URL: freeURL(t)}
	serveAt(t, elder.URL, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, elder) })
	if err := c.nodes[leader].AddMember(t.Context(), elder.URL); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "older version") {
		t.Errorf("a node of an older version is added: %v", err)
	}
	if err := c.nodes[leader].ReplaceMember(t.Context(), c.urls[old], elder.URL); !errors.Is(err, ErrRefused) || len(c.nodes[leader].Members()) != 3 {
		t.Errorf("a member is replaced by a node of an older version: %v", err)
	}
	// Nothing is known of one whose id is new.
	c.nodes[leader].dialects.learn(c.nodes[old].identity.ID, dialect{entries: entryVersion})
	if c.proposeLarge(leader) {
		t.Error("pieces, though a member is not known")
	}
}

// Members tell each other what commands they read, and one of an older version cannot be added any more when all read newer ones.
func TestMembersWithout(t *testing.T) {
	var inUse atomic.Int64
	c := newTestCluster(t, 3, func(cfg *Config) {
		cfg.CommandVersion, cfg.CommandsInUse = 2, func() int { return int(inUse.Load()) }
	})
	leader := c.leader()
	for i := range c.nodes {
		eventually(t, "member that knows what the others read", func() bool { return len(c.nodes[i].Members()) == 3 && len(c.nodes[i].MembersWithout(2)) == 0 })
		if got := c.nodes[i].MembersWithout(3); len(got) != 2 {
			t.Errorf("%v do not read what nobody reads", got)
		}
	}
	elder := introduction{ClusterName: c.nodes[0].cfg.ClusterName, ID: 7, URL: freeURL(t), EntryVersion: newestEntry, CommandVersion: 1}
	serveAt(t, elder.URL, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, elder) })
	if err := c.nodes[leader].AddMember(t.Context(), elder.URL); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "older version") {
		t.Errorf("a node of an older version is added: %v", err)
	}
	// A leader that has just started, and does not hear from all, does not add one either where that would matter.
	c.nodes[leader].dialects.learn(c.nodes[(leader+1)%3].identity.ID, dialect{newestEntry, 1})
	inUse.Store(2)
	if err := c.nodes[leader].checkDialect(elder); !errors.Is(err, ErrRefused) {
		t.Errorf("a node that does not read what was made of the data: %v", err)
	}
	inUse.Store(0)
	if err := c.nodes[leader].checkDialect(elder); err != nil {
		t.Errorf("a node like another member: %v", err)
	}
	if got := c.nodes[leader].MembersWithout(2); len(got) != 1 {
		t.Errorf("%v do not read it, want one", got)
	}
}
