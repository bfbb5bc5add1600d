package raft

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// names of what is in a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// removeOne removes a follower, which runs or not, and stops it when it knows.
func (c *testCluster) removeOne(away bool) (gone int, id uint64) {
	c.t.Helper()
	leader := c.leader()
	gone = (leader + 1) % 3
	id = c.nodes[gone].identity.ID
	if away {
		c.stop(gone)
	}
	if err := c.nodes[leader].RemoveMember(c.t.Context(), c.urls[gone], false); err != nil {
		c.t.Fatal(err)
	}
	if away {
		c.start(gone)
	}
	eventually(c.t, "the removed node to notice", func() bool { return errors.Is(c.nodes[gone].Err(), ErrRemoved) })
	c.stop(gone)
	return gone, id
}

// commitOwnRemoval puts the removal of a node that is stopped into its log. Others may have told it before its log did.
func commitOwnRemoval(t *testing.T, cfg Config) {
	t.Helper()
	id, err := loadIdentity(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := openLog(cfg.DataDir, id, newZap(cfg.Logger))
	if err != nil {
		t.Fatal(err)
	}
	state, _, err := l.memory.InitialState()
	if err != nil {
		t.Fatal(err)
	}
	last, err := l.memory.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	cc := raftpb.ConfChange{Type: raftpb.ConfChangeRemoveNode, NodeID: id.ID}
	data, err := cc.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	state.Commit = last + 1
	err = l.wal.Save(state, []raftpb.Entry{{Type: raftpb.EntryConfChange, Term: state.Term, Index: last + 1, Data: data}})
	if err := errors.Join(err, l.close()); err != nil {
		t.Fatal(err)
	}
}

func TestWipeRemoved(t *testing.T) {
	for _, tc := range []struct {
		name string
		away bool
		then func(t *testing.T, cfg Config)
	}{
		{"while it ran", false, nil},
		{"while it was away", true, nil},
		{"only the log tells", false, func(t *testing.T, cfg Config) {
			commitOwnRemoval(t, cfg)
			if err := os.Remove(filepath.Join(cfg.DataDir, removedFile)); err != nil {
				t.Fatal(err)
			}
		}},
		{"cut off", false, func(t *testing.T, cfg Config) {
			for _, name := range []string{walDir, identityFile} {
				if err := os.RemoveAll(filepath.Join(cfg.DataDir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newTestCluster(t, 3, nil)
			c.propose(0, "k=v")
			gone, id := c.removeOne(tc.away)
			if tc.then != nil {
				tc.then(t, c.config(gone))
			}
			// Nobody is needed for it.
			if wiped, err := WipeRemoved(c.config(gone)); wiped != id || err != nil {
				t.Fatalf("wiped %x, %v, want %x", wiped, err, id)
			}
			if left := names(t, c.dirs[gone]); !slices.Equal(left, []string{lockFile}) {
				t.Errorf("%q is left", left)
			}
			// It comes back as another member.
			c.stores[gone] = newMapStore()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			added := make(chan error, 1)
			go func() { added <- c.nodes[(gone+1)%3].AddMember(ctx, c.urls[gone]) }()
			c.start(gone)
			if err := <-added; err != nil {
				t.Fatal(err)
			}
			if c.nodes[gone].identity.ID == id {
				t.Error("it has its old id")
			}
			eventually(t, "the data", func() bool { return c.stores[gone].get("k") == "v" })
			c.stop(gone)
			if wiped, err := WipeRemoved(c.config(gone)); wiped != 0 || err != nil {
				t.Errorf("wiped member %x, %v", wiped, err)
			}
		})
	}
}

// Whoever was not removed keeps its data.
func TestWipeRemovedLeavesOthersAlone(t *testing.T) {
	c := newTestCluster(t, 3, often)
	c.count(50)
	c.compacted()
	gone, _ := c.removeOne(false)
	other := (gone + 1) % 3
	if _, err := WipeRemoved(c.config(other)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("wiped a node that runs: %v", err)
	}
	c.stop(other)
	before := names(t, c.dirs[other])
	if wiped, err := WipeRemoved(c.config(other)); wiped != 0 || err != nil {
		t.Errorf("wiped member %x, %v", wiped, err)
	}
	if after := names(t, c.dirs[other]); !slices.Equal(before, after) {
		t.Errorf("%q became %q", before, after)
	}
	c.start(other)
	if got := c.propose(other, "n+"); got != "51" {
		t.Errorf("counter is %s, want 51", got)
	}
	// Nor does a note of somebody else count.
	c.stop(other)
	if err := saveRemovedNote(c.dirs[other], 7); err != nil {
		t.Fatal(err)
	}
	if wiped, err := WipeRemoved(c.config(other)); wiped != 0 || err == nil {
		t.Errorf("wiped member %x, %v", wiped, err)
	}

	fresh := c.config(other)
	fresh.DataDir = filepath.Join(t.TempDir(), "new")
	if wiped, err := WipeRemoved(fresh); wiped != 0 || err != nil {
		t.Errorf("wiped member %x of a new directory, %v", wiped, err)
	}
}

// A removed member knows that it is, though nobody tells it again; and nothing is begun in a directory that was half
// emptied.
func TestRemovedMemberStarts(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	gone, _ := c.removeOne(true)
	for i := range 3 {
		if i != gone {
			c.stop(i)
		}
	}
	c.start(gone)
	if err := c.nodes[gone].Err(); !errors.Is(err, ErrStopped) || strings.Contains(err.Error(), ErrStopped.Error()) {
		t.Errorf("it is to be told once, and that it stopped is known: %v", err)
	}
	if err := c.nodes[gone].Err(); !errors.Is(err, ErrRemoved) {
		t.Errorf("a removed member runs: %v", err)
	}
	c.stop(gone)
	for _, name := range []string{walDir, identityFile} {
		if err := os.RemoveAll(filepath.Join(c.dirs[gone], name)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := New(c.config(gone))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "-nexus-wipe-removed") {
		t.Errorf("started in what is left of a removed member: %v", err)
	}
}

// A survivor that was told of its removal, and is the cluster from now on, starts and is not wiped.
func TestForceSingleMemberThatWasRemoved(t *testing.T) {
	c := newTestCluster(t, 3, nil)
	c.count(5)
	c.converged()
	gone, id := c.removeOne(true)
	for i := range 3 {
		c.stop(i)
	}
	for range 2 { // the second is for one that was cut off
		if _, err := ForceSingleMember(c.config(gone)); err != nil {
			t.Fatal(err)
		}
	}
	if wiped, err := WipeRemoved(c.config(gone)); wiped != 0 || err != nil {
		t.Fatalf("wiped %x, %v", wiped, err)
	}
	c.start(gone)
	if got := c.propose(gone, "n+"); got != "6" {
		t.Errorf("counter is %s, want 6", got)
	}
	if got := c.nodes[gone].identity.ID; got != id {
		t.Errorf("it is node %x, was %x", got, id)
	}
}

// Whatever answers at the URL of a member may say that this one was removed. Its data is not given up for that.
func TestTurnedAwayByAStranger(t *testing.T) {
	for _, tc := range []struct {
		name     string
		identity func(in *introduction, node uint64) // of the stranger, from that of the member whose URL it has
	}{
		{"no node", nil},
		{"a member that knows better", func(*introduction, uint64) {}},
		{"another cluster", func(in *introduction, node uint64) {
			in.Cluster++
			in.Removed = []uint64{node}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newTestCluster(t, 3, nil)
			c.count(5)
			c.converged()
			node, absent := 0, 1
			in := introduction{
				ClusterName: c.nodes[absent].cfg.ClusterName, Cluster: c.nodes[absent].identity.Cluster,
				ID: c.nodes[absent].identity.ID, URL: c.urls[absent],
			}
			if tc.identity != nil {
				tc.identity(&in, c.nodes[node].identity.ID)
			}
			c.stop(absent)
			stranger := serveAt(t, c.urls[absent], func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path == pathIdentity && tc.identity != nil {
					writeJSON(w, in)
					return
				}
				w.Header().Set("X-Server-Version", "3.5.0") // else its streams are not tried
				http.Error(w, "removed member", http.StatusGone)
			})
			eventually(t, "the node to be turned away", func() bool { return errors.Is(c.nodes[node].Err(), ErrRemoved) })
			stranger.Close()
			c.stop(node)
			if wiped, err := WipeRemoved(c.config(node)); wiped != 0 || err != nil {
				t.Fatalf("wiped %x, %v", wiped, err)
			}
			for i := range 3 {
				c.stop(i) // the third was turned away as well
			}
			for i := range 3 {
				c.start(i)
			}
			if got := c.propose(node, "n+"); got != "6" {
				t.Errorf("counter is %s, want 6", got)
			}
		})
	}
}

// serveAt answers at a node URL.
func serveAt(t *testing.T, url string, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	ln, err := net.Listen("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: handler}}
	s.Start()
	t.Cleanup(s.Close)
	return s
}
