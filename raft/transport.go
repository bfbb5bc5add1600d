package raft

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	tlsinfo "go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/client/pkg/v3/types"
	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	stats "go.etcd.io/etcd/server/v3/etcdserver/api/v2stats"
	"go.uber.org/zap"
)

// transport carries raft's messages: etcd's rafthttp, which puts the cluster id into each and refuses those of others.
type transport struct {
	http    rafthttp.Transporter
	errors  chan error
	handler http.Handler

	mu    sync.Mutex // addPeer after stop would panic in rafthttp
	ended bool
	peers map[uint64]bool
}

func newTransport(id identity, certificates tlsinfo.TLSInfo, files *snap.Snapshotter, node rafthttp.Raft, lg *zap.Logger) (*transport, error) {
	// They travel with each message: a member that was away while this one joined has to be able to answer.
	urls, err := types.NewURLs([]string{id.URL})
	if err != nil {
		return nil, fmt.Errorf("start the transport: %w", err)
	}
	t := &transport{errors: make(chan error, 1), peers: make(map[uint64]bool)}
	etcd := &rafthttp.Transport{
		Logger:      lg,
		TLSInfo:     certificates,
		ID:          types.ID(id.ID),
		URLs:        urls,
		ClusterID:   types.ID(id.Cluster),
		Raft:        node,
		Snapshotter: files,
		ServerStats: stats.NewServerStats(id.URL, types.ID(id.ID).String()),
		LeaderStats: stats.NewLeaderStats(lg, types.ID(id.ID).String()),
		ErrorC:      t.errors,
	}
	if err := etcd.Start(); err != nil {
		return nil, fmt.Errorf("start the transport: %w", err)
	}
	t.http, t.handler = etcd, etcd.Handler()
	return t, nil
}

func (t *transport) send(messages []raftpb.Message) {
	t.http.Send(messages)
}

func (t *transport) addPeer(id uint64, url string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.peers[id] {
		return
	}
	t.peers[id] = true
	t.http.AddPeer(types.ID(id), []string{url})
}

func (t *transport) removePeer(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || !t.peers[id] {
		return
	}
	delete(t.peers, id)
	t.http.RemovePeer(types.ID(id))
}

// setPeers makes the members other than self the peers.
func (t *transport) setPeers(members []Member, self uint64) {
	t.mu.Lock()
	old := make([]uint64, 0, len(t.peers))
	for id := range t.peers {
		if !containsID(members, id) {
			old = append(old, id)
		}
	}
	t.mu.Unlock()
	for _, id := range old {
		t.removePeer(id)
	}
	for _, m := range members {
		if m.ID != self {
			t.addPeer(m.ID, m.URL)
		}
	}
}

// active reports whether there is a connection to id.
func (t *transport) active(id uint64) bool {
	return !t.http.ActiveSince(types.ID(id)).IsZero()
}

func (t *transport) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.ended = true
		t.http.Stop()
	}
}

// inbound is what rafthttp calls with what it hears.
type inbound struct{ r *Replicator }

func (in inbound) Process(ctx context.Context, m raftpb.Message) error {
	r := in.r
	if m.To != r.identity.ID {
		return fmt.Errorf("message for node %016x reached node %016x", m.To, r.identity.ID)
	}
	if r.membership.isRemoved(m.From) {
		return fmt.Errorf("message from node %016x, which was removed", m.From)
	}
	if m.Type == raftpb.MsgProp {
		return fmt.Errorf("unexpected proposal from %s", r.membership.name(m.From))
	}
	if m.Type == raftpb.MsgSnap {
		// The transport has put the body on disk before.
		if err := r.disk.snapshots.checkBody(ctx, m.Snapshot.Metadata.Index); err != nil {
			return fmt.Errorf("snapshot from %s: %w", r.membership.name(m.From), err)
		}
	}
	if !r.mail.message(m) {
		r.log.Debug("raft message dropped, too many waiting", "from", formatID(m.From), "type", m.Type.String())
	}
	return nil
}

func (in inbound) IsIDRemoved(id uint64) bool { return in.r.membership.isRemoved(id) }

func (in inbound) ReportUnreachable(id uint64) {
	in.r.mail.call(func() { in.r.node.ReportUnreachable(id) })
}

func (in inbound) ReportSnapshot(id uint64, status etcdraft.SnapshotStatus) {
	in.r.mail.call(func() { in.r.snapshotSent(id, status) })
}
