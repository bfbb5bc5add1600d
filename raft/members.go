package raft

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// memberSet is who is in the cluster, as of the last committed membership change, and who will never be again. The loop
// writes it, everyone reads it.
type memberSet struct {
	mu      sync.RWMutex
	members map[uint64]Member
	removed map[uint64]bool
	// history is the set after each change since the newest snapshot, because a snapshot is of an earlier index than the
	// loop has reached. Owned by the loop.
	history []memberState
}

// memberState is the set as of index.
type memberState struct {
	index   uint64
	conf    raftpb.ConfState
	members []Member
	removed []uint64
}

func newMemberSet() *memberSet {
	return &memberSet{members: make(map[uint64]Member), removed: make(map[uint64]bool)}
}

func (s *memberSet) list() []Member {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Member, 0, len(s.members))
	for _, m := range s.members {
		list = append(list, m)
	}
	sortMembers(list)
	return list
}

func (s *memberSet) get(id uint64) (Member, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, ok := s.members[id]
	return m, ok
}

func (s *memberSet) url(id uint64) string {
	m, _ := s.get(id)
	return m.URL
}

// name is what people know a member by: its URL, or its id where that is not known.
func (s *memberSet) name(id uint64) string {
	if url := s.url(id); url != "" {
		return url
	}
	return fmt.Sprintf("node %016x", id)
}

func (s *memberSet) byURL(url string) (Member, bool) {
	for _, m := range s.list() {
		if sameURL(m.URL, url) {
			return m, true
		}
	}
	return Member{}, false
}

func (s *memberSet) isRemoved(id uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.removed[id]
}

func (s *memberSet) listRemoved() []uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]uint64, 0, len(s.removed))
	for id := range s.removed {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

func (s *memberSet) put(m Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members[m.ID] = m
}

func (s *memberSet) remove(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.members, id)
	s.removed[id] = true
}

// note adds the present set to the history, as of index.
func (s *memberSet) note(index uint64, conf raftpb.ConfState) {
	s.history = append(s.history, memberState{index: index, conf: conf, members: s.list(), removed: s.listRemoved()})
}

// at returns the set as of index.
func (s *memberSet) at(index uint64) (memberState, bool) {
	for _, state := range slices.Backward(s.history) {
		if state.index <= index {
			return state, true
		}
	}
	return memberState{}, false
}

// forgetBefore forgets what no snapshot at or after index needs.
func (s *memberSet) forgetBefore(index uint64) {
	for len(s.history) > 1 && s.history[1].index <= index {
		s.history = slices.Delete(s.history, 0, 1)
	}
}

// reset replaces the set by that of a snapshot at index.
func (s *memberSet) reset(index uint64, conf raftpb.ConfState, data *snapshotData) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members, s.removed = make(map[uint64]Member), make(map[uint64]bool)
	for _, m := range data.Members {
		s.members[m.ID] = m
	}
	for _, id := range data.Removed {
		s.removed[id] = true
	}
	s.history = []memberState{{index: index, conf: conf, members: data.Members, removed: data.Removed}}
}

// memberContext travels in a membership change.
type memberContext struct {
	URL string `json:"url"`
}

func encodeMemberContext(url string) []byte {
	data, err := json.Marshal(memberContext{URL: url})
	if err != nil {
		panic("raft: encode a string: " + err.Error())
	}
	return data
}

func changesMembers(entries []raftpb.Entry) bool {
	return slices.ContainsFunc(entries, func(e raftpb.Entry) bool { return e.Type == raftpb.EntryConfChange })
}

// applyMembership makes a committed membership change take effect. It runs in the loop, in log order, also for the
// changes found in the log at start.
func (r *Replicator) applyMembership(e *raftpb.Entry) error {
	if e.Type != raftpb.EntryConfChange {
		return nil
	}
	var cc raftpb.ConfChange
	if err := cc.Unmarshal(e.Data); err != nil {
		return fmt.Errorf("membership change at index %d: %w", e.Index, err)
	}
	var context memberContext
	if len(cc.Context) > 0 {
		if err := json.Unmarshal(cc.Context, &context); err != nil {
			return fmt.Errorf("membership change at index %d: %w", e.Index, err)
		}
	}
	conf := r.node.ApplyConfChange(cc)
	r.lease.drop() // its quorum was of the members before
	defer r.finishChange(cc.ID)
	switch cc.Type {
	case raftpb.ConfChangeAddNode, raftpb.ConfChangeAddLearnerNode:
		if r.membership.isRemoved(cc.NodeID) {
			return fmt.Errorf("membership change at index %d adds node %016x, which was removed before", e.Index, cc.NodeID)
		}
		r.membership.put(Member{ID: cc.NodeID, URL: context.URL, Learner: cc.Type == raftpb.ConfChangeAddLearnerNode})
		if cc.NodeID != r.identity.ID {
			r.dialects.noteAdded()
			r.transport.addPeer(cc.NodeID, context.URL)
		}
	case raftpb.ConfChangeRemoveNode:
		r.membership.remove(cc.NodeID)
		if cc.NodeID == r.identity.ID {
			return ErrRemoved
		}
		r.transport.removePeer(cc.NodeID)
	default:
		return fmt.Errorf("membership change at index %d has unknown type %v", e.Index, cc.Type)
	}
	r.membership.note(e.Index, *conf)
	r.log.Info("membership", "change", cc.Type.String(), "node", formatID(cc.NodeID), "url", r.membership.url(cc.NodeID), "index", e.Index)
	return nil
}

// finishChange tells the call that proposed the change, if it was made on this node.
func (r *Replicator) finishChange(id uint64) {
	if done := r.changes[id]; done != nil {
		close(done)
		delete(r.changes, id)
	}
}
