package raft

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// ForcedCluster says what ForceSingleMember did.
type ForcedCluster struct {
	ID uint64
	// Index is the last entry of the log, which counts as committed now. Entries after Committed may be writes that
	// were never acknowledged.
	Index, Committed uint64
	// Removed are the members that are none any more.
	Removed []Member
}

// ForceSingleMember makes the node of cfg.DataDir the only member of its cluster, for the day when a majority of the
// members is lost for good. The node must not run, and no other member may ever run again with its old data: two of them
// could still form a majority of the old cluster, and take writes that this one never sees.
//
// Writes that were acknowledged are kept if this node had them, which those of the last moments may not be the case of:
// choose the survivor with the longest log. One that notes that the others have removed it may be the only one: the note
// goes, or nobody could start what may be the last copy, and WipeRemoved would delete it. What the log itself says of this
// node stays: who was removed by it is refused.
func ForceSingleMember(cfg Config) (ForcedCluster, error) {
	if err := cfg.Validate(); err != nil {
		return ForcedCluster{}, err
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, identityFile)); err != nil {
		return ForcedCluster{}, fmt.Errorf("data directory %s is not that of a node: %w", cfg.DataDir, err)
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return ForcedCluster{}, err
	}
	defer lock.Close()
	id, err := loadIdentity(&cfg)
	if err != nil {
		return ForcedCluster{}, err
	}
	if id.Cluster == 0 {
		return ForcedCluster{}, fmt.Errorf("data directory %s was never in a cluster", cfg.DataDir)
	}
	l, err := openLog(cfg.DataDir, id, newZap(cfg.Logger))
	if err != nil {
		return ForcedCluster{}, err
	}
	forced, err := forceSingle(l, id)
	if err := errors.Join(err, l.close()); err != nil {
		return forced, err
	}
	return forced, errors.Join(dropRemovedNote(&cfg), dropForgottenNote(&cfg))
}

// forceSingle commits all that is in the log, and the removal of everybody else behind it.
func forceSingle(l *diskLog, id identity) (ForcedCluster, error) {
	members, err := l.members()
	if err != nil {
		return ForcedCluster{}, err
	}
	if self, ok := members[id.ID]; !ok || self.Learner {
		return ForcedCluster{}, fmt.Errorf("%s is not a voter of its cluster as far as its log tells: use another survivor", id.URL)
	}
	state, _, err := l.memory.InitialState()
	if err != nil {
		return ForcedCluster{}, fmt.Errorf("read the log: %w", err)
	}
	last, err := l.memory.LastIndex()
	if err != nil {
		return ForcedCluster{}, fmt.Errorf("read the log: %w", err)
	}
	forced := ForcedCluster{ID: id.ID, Index: last, Committed: state.Commit}
	var entries []raftpb.Entry
	for _, m := range members {
		if m.ID == id.ID {
			continue
		}
		forced.Removed = append(forced.Removed, m)
		cc := raftpb.ConfChange{ID: uint64(time.Now().UnixNano()), Type: raftpb.ConfChangeRemoveNode, NodeID: m.ID, Context: encodeMemberContext(m.URL)}
		data, err := cc.Marshal()
		if err != nil {
			return forced, fmt.Errorf("encode a membership change: %w", err)
		}
		last++
		entries = append(entries, raftpb.Entry{Type: raftpb.EntryConfChange, Term: state.Term, Index: last, Data: data})
	}
	sortMembers(forced.Removed)
	state.Commit = last
	state.Vote = id.ID
	if err := l.wal.Save(state, entries); err != nil {
		return forced, fmt.Errorf("write the log: %w", err)
	}
	return forced, nil
}

// members follows the membership changes in the log, committed or not.
func (l *diskLog) members() (map[uint64]Member, error) {
	members := make(map[uint64]Member)
	if l.base != nil {
		data, err := decodeSnapshotData(l.base.Data)
		if err != nil {
			return nil, err
		}
		for _, m := range data.Members {
			members[m.ID] = m
		}
	}
	entries, err := l.all()
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if entries[i].Type != raftpb.EntryConfChange {
			continue
		}
		var cc raftpb.ConfChange
		var context memberContext
		err := cc.Unmarshal(entries[i].Data)
		if err == nil && len(cc.Context) > 0 {
			err = json.Unmarshal(cc.Context, &context)
		}
		if err != nil {
			return nil, fmt.Errorf("membership change at index %d: %w", entries[i].Index, err)
		}
		if cc.Type == raftpb.ConfChangeRemoveNode {
			delete(members, cc.NodeID)
			continue
		}
		members[cc.NodeID] = Member{ID: cc.NodeID, URL: context.URL, Learner: cc.Type == raftpb.ConfChangeAddLearnerNode}
	}
	return members, nil
}

// all returns every entry that is in memory.
func (l *diskLog) all() ([]raftpb.Entry, error) {
	first, err := l.memory.FirstIndex()
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	last, err := l.memory.LastIndex()
	if err != nil || last < first {
		return nil, err
	}
	entries, err := l.memory.Entries(first, last+1, 1<<62)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return entries, nil
}
