package raft

import (
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"

	"github.com/nexus-replication/nexus/raft/failpoint"
)

// The pause before a snapshot is sent again to a member that did not take it doubles from one to the other: raft itself
// would try at every heartbeat.
const (
	minResendPause = 200 * time.Millisecond
	maxResendPause = 5 * time.Second
)

// resend is when the next snapshot may be sent to a member that failed to take one.
type resend struct {
	pause time.Duration
	due   time.Duration // on leaseClock
}

// send hands messages to the transport. Snapshots go by a way of their own, with the body as a stream. Loop only.
func (r *Replicator) send(messages []raftpb.Message) {
	messages = r.withhold(messages)
	if len(messages) == 0 {
		return
	}
	for i := range messages {
		if messages[i].Type == raftpb.MsgSnap {
			r.sendSnapshot(messages[i])
			messages[i].To = 0 // the transport skips it
		}
	}
	dropSuperseded(messages)
	failpoint.Hit("raft.before-send")
	r.transport.send(messages)
	failpoint.Hit("raft.after-send")
}

func (r *Replicator) sendSnapshot(m raftpb.Message) {
	index := m.Snapshot.Metadata.Index
	conf := &m.Snapshot.Metadata.ConfState
	if !slices.Contains(conf.Voters, m.To) && !slices.Contains(conf.Learners, m.To) {
		// It is from before the member was added, which would not know itself and refuse it. Raft asks again.
		r.snapshotTurn.want()
		r.mail.call(func() { r.node.ReportSnapshot(m.To, etcdraft.SnapshotFailure) })
		return
	}
	if r.leaseClock() < r.resends[m.To].due {
		r.mail.call(func() { r.node.ReportSnapshot(m.To, etcdraft.SnapshotFailure) })
		return
	}
	b, err := r.disk.snapshots.openBody(index)
	if err == nil && r.quarantined.Load() != nil {
		err = errors.New("this node is out of service")
	}
	if err == nil {
		// What is on disk may have come from another member since.
		var meta raftpb.Snapshot
		meta, err = r.disk.snapshots.at(index)
		m.Snapshot.Data = meta.Data
	}
	if err != nil {
		r.log.Warn("snapshot cannot be sent", "to", r.membership.name(m.To), "index", index, "err", err)
		r.mail.call(func() { r.snapshotSent(m.To, etcdraft.SnapshotFailure) })
		return
	}
	size := b.size + trailerSize
	r.log.Info("sending a snapshot", "to", formatID(m.To), "index", index, "bytes", size)
	o := &outgoing{body: b, r: r, to: m.To, index: index, size: size, begun: time.Now()}
	r.sending.put(o)
	r.transport.http.SendSnapshot(*snap.NewMessage(m, o, size))
}

// snapshotSent takes note of what became of a snapshot on its way to another member. Loop only.
func (r *Replicator) snapshotSent(to uint64, status etcdraft.SnapshotStatus) {
	r.node.ReportSnapshot(to, status)
	if status == etcdraft.SnapshotFinish {
		delete(r.resends, to)
		return
	}
	pause := min(max(2*r.resends[to].pause, minResendPause), maxResendPause)
	r.resends[to] = resend{pause: pause, due: r.leaseClock() + pause}
	r.log.Warn("snapshot did not arrive", "to", r.membership.name(to), "again", pause)
}

// outgoing is a body on its way to another member.
type outgoing struct {
	*body
	r     *Replicator
	to    uint64
	index uint64
	size  int64
	begun time.Time
	sent  atomic.Int64
	tenth int64
	ended atomic.Bool
}

func (o *outgoing) Read(p []byte) (int, error) {
	n, err := o.File.Read(p)
	sent := o.sent.Add(int64(n))
	o.r.snapshotSentBytes.Add(uint64(n))
	if tenth := sent * 10 / o.size; tenth > o.tenth && err == nil {
		o.tenth = tenth
		o.r.log.Debug("sending a snapshot", "to", formatID(o.to), "index", o.index, "sent", sent, "of", o.size)
	}
	return n, err
}

func (o *outgoing) Close() error {
	if o.ended.Swap(true) {
		return nil // the transport closes twice
	}
	if o.sent.Load() == o.size {
		o.r.metrics.sent.Observe(time.Since(o.begun).Seconds())
	}
	o.r.log.Info("snapshot left", "to", formatID(o.to), "index", o.index, "sent", o.sent.Load(), "of", o.size,
		"took", time.Since(o.begun).Round(time.Millisecond))
	o.r.sending.drop(o)
	return o.body.Close()
}

// Sending is a snapshot on its way to a member.
type Sending struct {
	Sent uint64 `json:"sent"` // bytes, of Size
	Size uint64 `json:"size"`
}

// sendings are the snapshots that are on their way now.
type sendings struct {
	mu sync.Mutex
	to map[uint64]*outgoing
}

func (s *sendings) put(o *outgoing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to == nil {
		s.to = make(map[uint64]*outgoing)
	}
	s.to[o.to] = o
}

func (s *sendings) drop(o *outgoing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to[o.to] == o {
		delete(s.to, o.to)
	}
}

// now returns how far each of them is, by member; nil if there are none.
func (s *sendings) now() map[uint64]Sending {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.to) == 0 {
		return nil
	}
	all := make(map[uint64]Sending, len(s.to))
	for to, o := range s.to {
		all[to] = Sending{Sent: uint64(o.sent.Load()), Size: uint64(o.size)}
	}
	return all
}

var _ io.ReadCloser = (*outgoing)(nil)
