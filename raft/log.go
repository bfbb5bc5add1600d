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

// writeAheadLog is what is needed of etcd's, which is *wal.WAL.
type writeAheadLog interface {
	// Save makes state and entries durable, unless only the commit index has changed.
	Save(state raftpb.HardState, entries []raftpb.Entry) error
	// SaveSnapshot makes it durable, with all that was saved before.
	SaveSnapshot(at walpb.Snapshot) error
	Sync() error
	ReleaseLockTo(index uint64) error
	Close() error
}

// diskLog is the durable log (etcd's write-ahead log) and its copy in memory, from which raft and the applier read.
type diskLog struct {
	wal       writeAheadLog
	walPath   string
	memory    *etcdraft.MemoryStorage
	snapshots *snapshots
	// lastStamp is the greatest stamp of any entry that was ever appended here, so that a new leader's stamps never run
	// backwards. Owned by the raft loop.
	lastStamp int64
	existed   bool
	bytes     uint64 // of the entries that the log held when it was opened
	// base is the snapshot that the log began with when it was opened; nil without one.
	base *raftpb.Snapshot
}

// openLog opens or creates the log in dir. A torn tail, left by a crash while writing, is cut off: what it held was
// never acknowledged.
func openLog(dir string, id identity, lg *zap.Logger) (*diskLog, error) {
	meta, err := json.Marshal(walMetadata{Cluster: id.Cluster, Node: id.ID})
	if err != nil {
		return nil, fmt.Errorf("encode log metadata: %w", err)
	}
	files, err := openSnapshots(dir, lg)
	if err != nil {
		return nil, err
	}
	l := &diskLog{walPath: filepath.Join(dir, walDir), memory: etcdraft.NewMemoryStorage(), snapshots: files}
	if wal.Exist(l.walPath) {
		if err := removeCopies(l.walPath); err != nil {
			return nil, err
		}
		if err := l.read(meta, lg); err != nil {
			return nil, err
		}
		return l, nil
	}
	if id.Logged {
		return nil, fmt.Errorf("data directory %s has had a log, and %s holds none: it is damaged, replace this node", dir, l.walPath)
	}
	// A directory without a complete first segment is what a crash during creation leaves.
	if err := os.RemoveAll(l.walPath); err != nil {
		return nil, fmt.Errorf("clear the unfinished log: %w", err)
	}
	if l.wal, err = wal.Create(lg, l.walPath, meta); err != nil {
		return nil, fmt.Errorf("create the log in %s: %w", l.walPath, err)
	}
	return l, nil
}

// read loads the newest snapshot's metadata and the log after it.
func (l *diskLog) read(meta []byte, lg *zap.Logger) error {
	known, err := wal.ValidSnapshotEntries(lg, l.walPath)
	if err != nil {
		return fmt.Errorf("read the log in %s: %w", l.walPath, damaged(err))
	}
	if err := checkSynced(l.walPath); err != nil {
		return fmt.Errorf("read the log in %s: %w", l.walPath, damaged(err))
	}
	if l.base, err = l.snapshots.newest(known); err != nil {
		return err
	}
	var from walpb.Snapshot
	if l.base != nil {
		from = walpb.Snapshot{Index: l.base.Metadata.Index, Term: l.base.Metadata.Term}
	}
	for repaired := false; ; repaired = true {
		w, err := wal.Open(lg, l.walPath, from)
		if err != nil {
			return fmt.Errorf("open the log in %s: %w", l.walPath, damaged(err))
		}
		found, state, entries, err := w.ReadAll()
		if err != nil {
			w.Close()
			if !repaired && errors.Is(err, io.ErrUnexpectedEOF) {
				cut, cutErr := cutTornTail(l.walPath)
				if cutErr != nil {
					return fmt.Errorf("read the log in %s: %w", l.walPath, cutErr)
				}
				if cut {
					continue
				}
			}
			return fmt.Errorf("read the log in %s: %w", l.walPath, damaged(err))
		}
		if len(found) == 0 {
			w.Close()
			return fmt.Errorf("read the log in %s: its last segment is empty: %w", l.walPath, errLogDamaged)
		}
		if string(found) != string(meta) {
			w.Close()
			return fmt.Errorf("the log in %s belongs to %s, this node is %s", l.walPath, found, meta)
		}
		if err := l.load(state, entries); err != nil {
			w.Close()
			return fmt.Errorf("load the log: %w", err)
		}
		l.wal = w
		return nil
	}
}

func (l *diskLog) load(state raftpb.HardState, entries []raftpb.Entry) error {
	l.existed = l.base != nil || len(entries) > 0 || !etcdraft.IsEmptyHardState(state)
	if l.base != nil {
		data, err := decodeSnapshotData(l.base.Data)
		if err != nil {
			return err
		}
		l.lastStamp = data.Stamp
		if err := l.memory.ApplySnapshot(*l.base); err != nil {
			return err
		}
	}
	if err := l.memory.SetHardState(state); err != nil {
		return err
	}
	if err := l.memory.Append(entries); err != nil {
		return err
	}
	for i := range entries {
		l.bytes += uint64(len(entries[i].Data))
	}
	return l.observeStamps(entries)
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

// sync makes also a commit index durable that was saved alone.
func (l *diskLog) sync() error {
	if err := l.wal.Sync(); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	return nil
}

// saveSnapshot makes a snapshot that was received, and whose body is on disk, the beginning of the log. The log counts a
// snapshot only up to the commit index, so state, which has it, must be durable before any entry follows: entries that a
// torn write left behind a snapshot that does not count would be a gap.
func (l *diskLog) saveSnapshot(meta raftpb.Snapshot, data *snapshotData, state raftpb.HardState) error {
	if err := l.snapshots.saveMetadata(meta); err != nil {
		return err
	}
	if err := l.noteSnapshot(meta); err != nil {
		return err
	}
	if err := l.wal.Save(state, nil); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	if err := l.sync(); err != nil {
		return err
	}
	if err := l.memory.ApplySnapshot(meta); err != nil {
		return fmt.Errorf("begin the log at index %d: %w", meta.Metadata.Index, err)
	}
	l.lastStamp = max(l.lastStamp, data.Stamp)
	return nil
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
