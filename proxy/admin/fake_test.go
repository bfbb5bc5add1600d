package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/nexus-replication/nexus/raft"
)

// fakeNode is a node whose every wish is granted, unless err is set.
type fakeNode struct {
	mu     sync.Mutex
	status raft.Status
	err    error
	calls  []string
	last   uint64
	backup []byte
	about  json.RawMessage
}

func newFakeNode() *fakeNode {
	return &fakeNode{status: raft.Status{
		ClusterName: "test", Cluster: 0xc1, ID: 0xa10202ab0eac4801, URL: "http://127.0.0.1:9021", Role: "leader",
		Leader: 0xa10202ab0eac4801, Term: 3, Commit: 12, Applied: 11, Serving: true,
		Members: []raft.Member{
			{ID: 0xf3fd5b0446cc7033, URL: "http://127.0.0.1:9023"},
			{ID: 0xa10202ab0eac4801, URL: "http://127.0.0.1:9021"},
			{ID: 0x663ca4baed7470b5, URL: "http://127.0.0.1:9022", Learner: true},
		},
		Progress: map[uint64]uint64{0xf3fd5b0446cc7033: 10},
	}}
}

func (n *fakeNode) set(f func(*raft.Status)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(&n.status)
}

func (n *fakeNode) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

func (n *fakeNode) Status() raft.Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	st := n.status
	st.Members = slices.Clone(st.Members)
	return st
}

func (n *fakeNode) Read(ctx context.Context, fn func(context.Context) error) error {
	n.mu.Lock()
	err := n.err
	n.mu.Unlock()
	if err != nil {
		return err
	}
	return fn(ctx)
}

func (n *fakeNode) Members() []raft.Member { return n.Status().Members }

// silentURL is that of a node that never answers.
const silentURL = "http://127.0.0.1:1"

func (n *fakeNode) AddMember(ctx context.Context, url string) error {
	if url == silentURL {
		<-ctx.Done()
		return fmt.Errorf("add %s: it did not answer so far: %w", url, ctx.Err())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, "add "+url)
	if n.err == nil {
		n.status.Members = append(n.status.Members, raft.Member{ID: 0x4c8e64e91e16db7c, URL: url})
	}
	return n.err
}

func (n *fakeNode) RemoveMember(_ context.Context, url string, force bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, fmt.Sprintf("remove %s %v", url, force))
	if n.err == nil {
		n.status.Members = slices.DeleteFunc(n.status.Members, func(m raft.Member) bool { return m.URL == url })
	}
	return n.err
}

func (n *fakeNode) TransferLeadership(_ context.Context, id uint64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = id
	if n.err == nil {
		n.status.Leader = id
		if id == 0 {
			n.status.Leader = 0xf3fd5b0446cc7033
		}
	}
	return n.err
}

// fakeStore echoes what it is asked.
type fakeStore struct{ err error }

func (s *fakeStore) Save(ctx context.Context, data []byte, args map[string]string) ([]byte, error) {
	if _, ok := ctx.Deadline(); !ok {
		panic("a save without a deadline")
	}
	return []byte("saved " + string(data) + " in " + args["db.index"]), s.err
}

func (s *fakeStore) Load(_ context.Context, data []byte, args map[string]string) ([]byte, error) {
	return []byte("loaded " + string(data) + " from " + args["db.index"]), s.err
}

type fakeRefusal bool

func (r fakeRefusal) Error() string         { return "refused\nhere" }
func (r fakeRefusal) InvalidArgument() bool { return bool(r) }

func (n *fakeNode) Snapshot(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err == nil {
		n.status.Snapshot = n.status.Applied
	}
	return n.err
}

func (n *fakeNode) Backup(_ context.Context, w io.Writer) (raft.BackupInfo, error) {
	if _, err := w.Write(n.backup); err != nil {
		return raft.BackupInfo{}, err
	}
	return raft.BackupInfo{Index: 11, Size: int64(len(n.backup))}, n.err
}

func (n *fakeNode) ReplaceMember(ctx context.Context, url, by string) error {
	if err := n.RemoveMember(ctx, url, false); err != nil {
		return err
	}
	return n.AddMember(ctx, by)
}

func (n *fakeNode) Verify(context.Context) (raft.VerifyReport, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	report := raft.VerifyReport{Position: raft.Position{Term: 3, Index: 11}}
	for i, m := range n.status.Members {
		verified := raft.VerifiedMember{ID: m.ID, URL: m.URL, Items: 5}
		if i == 0 {
			verified.Differences = []raft.PartDifference{{Part: "db0", Items: 2, AtLeast: true}}
		}
		report.Members = append(report.Members, verified)
	}
	return report, n.err
}

func (n *fakeNode) Repair(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Reports has the node itself, one that is behind, and one that is not reachable.
func (n *fakeNode) Reports(context.Context) []raft.Report {
	st := n.Status()
	behind := st
	behind.ID, behind.URL, behind.Role, behind.Applied = 0x663ca4baed7470b5, "http://127.0.0.1:9022", "learner", st.Applied-2
	behind.Serving, behind.Problem = false, "backend of this node: connection refused"
	return []raft.Report{
		{Member: raft.Member{ID: st.ID, URL: st.URL}, Status: st, About: n.about},
		{Member: raft.Member{ID: behind.ID, URL: behind.URL, Learner: true}, Status: behind,
			About: json.RawMessage(`{"version":"v0","activity":{"reads":5,"writes":6,"commands":12}}`)},
		{Member: raft.Member{ID: 0xf3fd5b0446cc7033, URL: "http://127.0.0.1:9023"}, Problem: "no answer within 1s"},
	}
}
