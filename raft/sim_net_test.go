package raft

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
)

// simNet carries raft's messages, which it may lose, repeat and deliver in any order, and HTTP requests, which get
// through once or not at all.
type simNet struct {
	w   *simWorld
	cut map[[2]int]bool          // from, to
	lag map[[2]int]time.Duration // from, to
}

func (s *simNet) delay(from, to *simNode) time.Duration {
	p, lag := &s.w.plan, s.lag[[2]int{from.i, to.i}]
	if s.w.chance(p.late) {
		return lag + s.w.between(p.netDelay, 100*p.netDelay)
	}
	return lag + s.w.between(50*time.Microsecond, p.netDelay)
}

func (s *simNet) node(id uint64) *simNode {
	i := slices.IndexFunc(s.w.nodes, func(n *simNode) bool { return n.id == id })
	if i < 0 {
		return nil
	}
	return s.w.nodes[i]
}

// simTransport stands in for rafthttp.Transport in one run of a node.
type simTransport struct {
	n     *simNode
	run   int
	peers map[uint64]bool
	heard map[uint64]bool // of other members, which are answered even if they are not known yet
}

var _ rafthttp.Transporter = (*simTransport)(nil)

func (t *simTransport) Start() error                  { return nil }
func (t *simTransport) Handler() http.Handler         { return http.NotFoundHandler() }
func (t *simTransport) AddRemote(types.ID, []string)  {}
func (t *simTransport) UpdatePeer(types.ID, []string) {}
func (t *simTransport) AddPeer(id types.ID, _ []string) {
	t.peers[uint64(id)] = true
}
func (t *simTransport) RemovePeer(id types.ID) { delete(t.peers, uint64(id)) }
func (t *simTransport) RemoveAllPeers()        { clear(t.peers) }
func (t *simTransport) ActivePeers() int       { return len(t.peers) }
func (t *simTransport) Stop()                  {}

// ActiveSince tells of a connection, which a peer that is paused still has.
func (t *simTransport) ActiveSince(id types.ID) time.Time {
	peer, net := t.n.w.net.node(uint64(id)), &t.n.w.net
	if peer == nil || !t.peers[uint64(id)] || !peer.up || net.cut[[2]int{t.n.i, peer.i}] || net.cut[[2]int{peer.i, t.n.i}] {
		return time.Time{}
	}
	return t.n.w.start
}

func (t *simTransport) Send(messages []raftpb.Message) {
	for i := range messages {
		m := &messages[i]
		if m.To == 0 || !t.peers[m.To] && !t.heard[m.To] {
			continue
		}
		if !t.n.effect(t.run, "send") {
			return
		}
		data, err := m.Marshal()
		if err != nil {
			t.n.w.violate("encode a message: %v", err)
			return
		}
		t.n.w.net.send(t.n, t.n.w.net.node(m.To), m.Type, data)
	}
}

func (s *simNet) send(from, to *simNode, kind raftpb.MessageType, data []byte) {
	w := s.w
	if s.cut[[2]int{from.i, to.i}] || !to.up || w.chance(w.plan.loss) {
		if w.chance(0.1) {
			inbound{from.r}.ReportUnreachable(to.id)
		}
		return
	}
	copies := 1
	for w.chance(w.plan.repeat) && copies < 3 {
		copies++
	}
	run := from.run
	for range copies {
		w.after(s.delay(from, to), func() {
			if s.cut[[2]int{from.i, to.i}] || !to.up {
				return
			}
			if to.r.membership.isRemoved(from.id) {
				s.turnAway(from, run)
				return
			}
			to.r.transport.http.(*simTransport).heard[from.id] = true
			s.w.note("%v n%d-n%d", kind, from.i, to.i)
			s.process(to, data)
		})
	}
}

// turnAway tells a node that it was removed, as rafthttp does.
func (s *simNet) turnAway(n *simNode, run int) {
	if n.run != run || !n.up {
		return
	}
	select {
	case n.r.transport.errors <- errors.New("the member has been permanently removed from the cluster"):
	default:
	}
}

func (s *simNet) process(to *simNode, data []byte) bool {
	var m raftpb.Message
	if err := m.Unmarshal(data); err != nil {
		s.w.violate("decode a message: %v", err)
		return false
	}
	return inbound{to.r}.Process(context.Background(), m) == nil
}

// SendSnapshot carries a snapshot with its body, slowly.
func (t *simTransport) SendSnapshot(m snap.Message) {
	w := t.n.w
	body, err := io.ReadAll(m.ReadCloser)
	m.ReadCloser.Close()
	if err != nil || !t.n.effect(t.run, "send snapshot") {
		return
	}
	data, err := m.Marshal()
	if err != nil {
		w.violate("encode a snapshot: %v", err)
		return
	}
	index, to := m.Snapshot.Metadata.Index, w.net.node(m.To)
	w.after(w.between(time.Millisecond, w.plan.snapshotDelay), func() {
		status := etcdraft.SnapshotFailure
		if w.net.deliverSnapshot(t.n, to, index, data, body) {
			status = etcdraft.SnapshotFinish
		}
		w.after(w.net.delay(to, t.n), func() {
			if t.n.run == t.run {
				inbound{t.n.r}.ReportSnapshot(to.id, status)
			}
		})
	})
}

func (s *simNet) deliverSnapshot(from, to *simNode, index uint64, data, body []byte) bool {
	w := s.w
	if s.cut[[2]int{from.i, to.i}] || !to.up || w.chance(w.plan.loss) {
		return false
	}
	if w.chance(w.plan.loss) { // on the way
		body = bytes.Clone(body)
		body[w.rng.IntN(len(body))] ^= 1
	}
	w.note("snapshot %d n%d-n%d", index, from.i, to.i)
	run := to.run
	if !to.effect(run, "before snapshot is received") {
		return false
	}
	if _, err := to.r.disk.snapshots.files.SaveDBFrom(bytes.NewReader(body), index); err != nil {
		w.violate("n%d: receive a snapshot: %v", to.i, err)
		return false
	}
	if !to.effect(run, "after snapshot was received") {
		return false
	}
	return s.process(to, data)
}

// simDialer carries the HTTP requests of one run of a node.
type simDialer struct {
	n   *simNode
	run int
}

// simRequest is a request under way.
type simRequest struct {
	from, to *simNode
	toRun    int
	req      *http.Request
	body     []byte
	answer   *httptest.ResponseRecorder
	gate     *simGate // of who asked
}

// simAnswer is what a request got.
type simAnswer struct{ response *http.Response }

func (d *simDialer) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	g := &simGate{node: d.n, run: d.run, kind: "request", open: make(chan simVerdict, 1)}
	g.key = req.Method + req.URL.String() + string(body)
	g.serve = &simRequest{from: d.n, req: req, body: body, gate: g}
	v, err := d.n.wait(req.Context(), g)
	if err != nil {
		return nil, err
	}
	return v.answer.response, nil
}

var (
	errReset   = errors.New("connection reset by peer")
	errRefuses = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
)

// request makes the event of a request that was sent.
func (s *simNet) request(g *simGate) {
	q, w := g.serve, s.w
	for _, n := range w.nodes {
		if n.url == "http://"+q.req.URL.Host {
			q.to = n
		}
	}
	w.after(s.delay(q.from, q.to), func() {
		switch cut := s.cut[[2]int{q.from.i, q.to.i}] || s.cut[[2]int{q.to.i, q.from.i}]; {
		case q.from.run != g.run:
		case q.to.handler == nil || cut && w.chance(0.5):
			q.from.pass(g, simVerdict{err: errRefuses})
		case cut && w.chance(0.5): // black hole
		case cut || w.chance(w.plan.loss):
			q.from.pass(g, simVerdict{err: errReset})
		default:
			q.to.whenAwake(func() { s.serve(q) })
		}
	})
}

// serve has a request answered by the other node.
func (s *simNet) serve(q *simRequest) {
	q.toRun = q.to.run
	if q.to.handler == nil {
		q.from.pass(q.gate, simVerdict{err: errReset})
		return
	}
	s.w.note("n%d serves %s of n%d", q.to.i, q.req.URL.Path, q.from.i)
	handler := q.to.handler
	req := q.req.Clone(q.req.Context())
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(q.body)), int64(len(q.body))
	go func() {
		q.answer = httptest.NewRecorder()
		handler.ServeHTTP(q.answer, req)
		s.w.mu.Lock()
		defer s.w.mu.Unlock()
		s.w.atGate = append(s.w.atGate, &simGate{node: q.from, run: q.gate.run, kind: "answer", key: q.gate.key, serve: q})
	}()
}

// answer makes the event of an answer that was sent.
func (s *simNet) answer(g *simGate) {
	q, w := g.serve, s.w
	alive := func() bool { return q.to.run == q.toRun && !q.to.dead && !s.cut[[2]int{q.to.i, q.from.i}] }
	if !alive() || !q.to.effect(q.toRun, "answer") || w.chance(w.plan.loss) {
		w.after(s.delay(q.to, q.from), func() { q.from.pass(q.gate, simVerdict{err: errReset}) })
		return
	}
	w.after(s.delay(q.to, q.from), func() {
		if !alive() {
			q.from.pass(q.gate, simVerdict{err: errReset})
			return
		}
		q.from.pass(q.gate, simVerdict{answer: &simAnswer{q.answer.Result()}})
		if w.cheat.repeatRequests && q.req.URL.Path == pathPropose {
			q.to.whenAwake(func() {
				s.serve(&simRequest{from: q.from, to: q.to, req: q.req.WithContext(context.Background()), body: q.body, gate: &simGate{}})
			})
		}
	})
}
