package raft

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/server/v3/wal"
	"go.etcd.io/etcd/server/v3/wal/walpb"
	"go.uber.org/zap"
)

const walDir = "wal"

// walMetadata stands at the head of every segment of the log and binds it to its node.
type walMetadata struct {
	Cluster uint64 `json:"cluster"`
	Node    uint64 `json:"node"`
}

// diskLog is the durable log (etcd's write-ahead log) and its copy in memory, from which raft and the applier read.
type diskLog struct {
	wal    *wal.WAL
	memory *etcdraft.MemoryStorage
	// lastStamp is the greatest stamp of any entry that was ever appended here, so that a new leader's stamps never run
	// backwards. Owned by the raft loop.
	lastStamp int64
	existed   bool
}

// openLog opens or creates the log in dir. A torn tail, left by a crash while writing, is cut off: what it held was
// never acknowledged.
func openLog(dir string, id identity, lg *zap.Logger) (*diskLog, error) {
	path := filepath.Join(dir, walDir)
	meta, err := json.Marshal(walMetadata{Cluster: id.Cluster, Node: id.ID})
	if err != nil {
		return nil, fmt.Errorf("encode log metadata: %w", err)
	}
	if !wal.Exist(path) {
		// A directory without a complete first segment is what a crash during creation leaves.
		if err := os.RemoveAll(path); err != nil {
			return nil, fmt.Errorf("clear the unfinished log: %w", err)
		}
		w, err := wal.Create(lg, path, meta)
		if err != nil {
			return nil, fmt.Errorf("create the log in %s: %w", path, err)
		}
		return &diskLog{wal: w, memory: etcdraft.NewMemoryStorage()}, nil
	}
	return readLog(path, meta, lg)
}

func readLog(path string, meta []byte, lg *zap.Logger) (*diskLog, error) {
	for repaired := false; ; repaired = true {
		w, err := wal.Open(lg, path, walpb.Snapshot{})
		if err != nil {
			return nil, fmt.Errorf("open the log in %s: %w", path, err)
		}
		found, state, entries, err := w.ReadAll()
		if err != nil {
			w.Close()
			if repaired || !errors.Is(err, io.ErrUnexpectedEOF) || !wal.Repair(lg, path) {
				return nil, fmt.Errorf("read the log in %s: %w: it is damaged beyond its torn tail, replace this node", path, err)
			}
			continue
		}
		if string(found) != string(meta) {
			w.Close()
			return nil, fmt.Errorf("the log in %s belongs to %s, this node is %s", path, found, meta)
		}
		return loadLog(w, state, entries)
	}
}

func loadLog(w *wal.WAL, state raftpb.HardState, entries []raftpb.Entry) (*diskLog, error) {
	l := &diskLog{wal: w, memory: etcdraft.NewMemoryStorage(), existed: len(entries) > 0 || !etcdraft.IsEmptyHardState(state)}
	err := l.memory.SetHardState(state)
	if err == nil {
		err = l.memory.Append(entries)
	}
	if err == nil {
		err = l.observeStamps(entries)
	}
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("load the log: %w", err)
	}
	return l, nil
}

// save makes a Ready's state and entries durable, then readable. An error leaves the log unusable: the node must stop.
func (l *diskLog) save(state raftpb.HardState, entries []raftpb.Entry) error {
	if err := l.wal.Save(state, entries); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	if err := l.memory.Append(entries); err != nil {
		return fmt.Errorf("append to the log: %w", err)
	}
	return l.observeStamps(entries)
}

func (l *diskLog) observeStamps(entries []raftpb.Entry) error {
	for i := range entries {
		if entries[i].Type != raftpb.EntryNormal {
			continue
		}
		stamp, err := decodeStamp(entries[i].Data)
		if err != nil {
			return fmt.Errorf("entry %d: %w", entries[i].Index, err)
		}
		l.lastStamp = max(l.lastStamp, stamp)
	}
	return nil
}

func (l *diskLog) close() error {
	if err := l.wal.Close(); err != nil {
		return fmt.Errorf("close the log: %w", err)
	}
	return nil
}
