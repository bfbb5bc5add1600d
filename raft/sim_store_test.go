package raft

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"time"
)

// simState is what a backend holds: registers, and a digest of all entries that led to them.
type simState struct {
	Position Position
	Stamp    int64
	Chain    uint64
	Data     map[string]string
}

func newSimState() simState { return simState{Data: make(map[string]string)} }

// apply applies commands "id key value". A reply is the value before.
func (s *simState) apply(position Position, stamp int64, cmds [][]byte) (replies []string) {
	sum := fnv.New64a()
	var b [8]byte
	for _, v := range []uint64{s.Chain, position.Term, position.Index, uint64(stamp)} {
		binary.BigEndian.PutUint64(b[:], v)
		sum.Write(b[:])
	}
	for _, cmd := range cmds {
		sum.Write(cmd)
		sum.Write([]byte{0})
		_, rest, _ := strings.Cut(string(cmd), " ")
		key, value, _ := strings.Cut(rest, " ")
		replies = append(replies, s.Data[key])
		s.Data[key] = value
	}
	s.Position, s.Chain, s.Stamp = position, sum.Sum64(), max(s.Stamp, stamp)
	return replies
}

// simStore is a backend. It outlives the program beside it, and has troubles of its own.
type simStore struct {
	n        *simNode
	id       Identity
	state    simState
	expected Position // what Apply is to find
	most     uint64   // index that it held at any time: while it holds less, it answers no reads
	halfway  Position // of a snapshot that it was being filled from; it holds rubbish meanwhile

	failsUntil time.Duration
	hangsUntil time.Duration
	loseReply  int // in so many calls of Apply, what is left of a run is applied only later
}

func newSimStore(n *simNode) *simStore { return &simStore{n: n, state: newSimState()} }

func (s *simStore) admit(g *simGate) {
	w := s.n.w
	switch now := w.now(); {
	case g.run != s.n.run:
	case now < s.hangsUntil:
		w.after(s.hangsUntil-now+time.Millisecond, func() { s.admit(g) })
	case now < s.failsUntil:
		s.n.pass(g, simVerdict{err: errBackendDown})
	case s.loseReply > 0 && g.kind == "apply" && g.key != "":
		s.loseReply--
		s.n.pass(g, simVerdict{part: w.rng.Float64()})
	default:
		s.n.pass(g, simVerdict{part: 1})
	}
}

func (s *simStore) Open(ctx context.Context, id Identity) (Position, error) {
	if _, err := s.n.gate(ctx, s.n.run, "open", ""); err != nil {
		return Position{}, err
	}
	s.mustBeWhole("Open")
	if s.id != (Identity{}) && s.id != id {
		return Position{}, &FatalError{fmt.Errorf("backend belongs to %+v", s.id)}
	}
	s.id, s.expected = id, s.state.Position
	return s.state.Position, nil
}

func (s *simStore) Apply(ctx context.Context, entries []Entry) error {
	run, key := s.n.run, ""
	if len(entries) > 0 {
		key = fmt.Sprint(entries[0].Index, "+", len(entries))
	}
	v, err := s.n.gate(ctx, run, "apply", key)
	if err != nil {
		return err
	}
	s.mustBeWhole("Apply")
	held := s.state.Position
	if len(entries) == 0 && held != s.expected || len(entries) > 0 && held.Index != entries[0].Index-entries[0].Pieces-1 {
		s.expected = held
		return &BehindError{held}
	}
	if len(entries) == 0 {
		return nil
	}
	if !s.n.effect(run, "before apply") {
		return errSimCrash
	}
	part := int(float64(len(entries))*v.part + 0.5)
	for i := range entries[:part] {
		s.applyEntry(&entries[i])
	}
	if s.n.w.cheat.forgetPosition && s.n.w.rng.IntN(20) == 0 {
		s.state.Position, part = held, 0
	}
	s.expected, s.most = s.state.Position, max(s.most, s.state.Position.Index)
	switch {
	case !s.n.effect(run, "after apply"):
		return errSimCrash
	case part == 0:
		return errBackendDown
	case v.part < 1:
		return &BehindError{s.state.Position}
	}
	return nil
}

func (s *simStore) applyEntry(e *Entry) {
	cmds := make([][]byte, len(e.Commands))
	for i := range e.Commands {
		cmds[i] = e.Commands[i].Data
	}
	replies := s.state.apply(e.Position, e.Stamp, cmds)
	for i := range e.Commands {
		e.Commands[i].Reply = []byte(replies[i])
	}
	s.n.w.ledger.applied(s.n, e, &s.state, replies)
}

func (s *simStore) Position(context.Context) (Position, error) { return s.state.Position, nil }

// get is a read. A backend that lost data notices this, and does not answer before it is filled again.
func (s *simStore) get(key string) (string, uint64, error) {
	switch {
	case s.n.w.now() < s.failsUntil:
		return "", 0, errBackendDown
	case s.n.w.cheat.staleReads:
	case s.halfway != Position{} || s.state.Position.Index < s.most:
		return "", 0, errors.New("the backend lost data")
	}
	return s.state.Data[key], s.state.Position.Index, nil
}

func (s *simStore) Snapshot(ctx context.Context) (io.ReadCloser, error) {
	s.mustBeWhole("Snapshot")
	if s.n.w.now() < s.failsUntil {
		return nil, errBackendDown
	}
	data, err := json.Marshal(&s.state)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(&simStream{ctx: ctx, n: s.n, run: s.n.run, from: s.state.Position.Index, data: bytes.NewReader(data)}), nil
}

// simStream is a snapshot while it is read.
type simStream struct {
	ctx  context.Context
	n    *simNode
	run  int
	from uint64
	data *bytes.Reader
}

func (s *simStream) Read(p []byte) (int, error) {
	if _, err := s.n.gate(s.ctx, s.run, "snapshot", fmt.Sprint(s.from)); err != nil {
		return 0, err
	}
	if !s.n.effect(s.run, "snapshot body") {
		return 0, errSimCrash
	}
	return s.data.Read(p)
}

func (s *simStore) Restore(ctx context.Context, id Identity, snap *Snapshot) error {
	run := s.n.run
	if _, err := s.n.gate(ctx, run, "restore", fmt.Sprint(snap.Index)); err != nil {
		return err
	}
	if !s.n.effect(run, "before restore") {
		return errSimCrash
	}
	if s.halfway != (Position{}) && (s.halfway != snap.Position || !snap.Again) {
		s.n.w.violate("n%d: restore of %+v (again %v) while that of %+v is unfinished", s.n.i, snap.Position, snap.Again, s.halfway)
	}
	s.id, s.halfway = snap.Origin, snap.Position
	if _, err := s.n.gate(ctx, run, "restore", "halfway"); err != nil {
		return err
	}
	if !s.n.effect(run, "halfway in restore") {
		return errSimCrash
	}
	state := newSimState()
	if err := json.NewDecoder(snap.Data).Decode(&state); err != nil {
		return &FatalError{err}
	}
	s.n.w.ledger.restored(s.n, snap.Position, &state)
	s.id, s.state, s.expected, s.halfway = id, state, state.Position, Position{}
	s.most = max(s.most, state.Position.Index)
	if !s.n.effect(run, "after restore") {
		return errSimCrash
	}
	return nil
}

// Digest tells of the registers. The position is each node's own.
func (s *simStore) Digest(_ context.Context, snap *Snapshot, item func(part string, key, value uint64)) error {
	state := newSimState()
	if err := json.NewDecoder(snap.Data).Decode(&state); err != nil {
		return err
	}
	for key, value := range state.Data {
		item("main", fnvOf(key), fnvOf(value))
	}
	return nil
}

func (s *simStore) Close() error { return nil }

func (s *simStore) mustBeWhole(what string) {
	if s.halfway != (Position{}) {
		s.n.w.violate("n%d: %s while a restore of %+v is unfinished", s.n.i, what, s.halfway)
	}
}

// lose makes the backend one that holds the state of an earlier index.
func (s *simStore) lose(index uint64) {
	if s.halfway != (Position{}) {
		return
	}
	s.n.w.note("n%d backend falls back from %d to %d", s.n.i, s.state.Position.Index, index)
	s.state = s.n.w.ledger.stateAt(index)
}
