package raft

import (
	"slices"
	"testing"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/server/v3/wal/walpb"
)

// recordedLog tells in which order a log was written.
type recordedLog struct{ did []string }

func (l *recordedLog) Save(state raftpb.HardState, entries []raftpb.Entry) error {
	if !etcdraft.IsEmptyHardState(state) {
		l.did = append(l.did, "commit index")
	}
	if len(entries) > 0 {
		l.did = append(l.did, "entries")
	}
	return nil
}

func (l *recordedLog) SaveSnapshot(walpb.Snapshot) error {
	l.did = append(l.did, "snapshot")
	return nil
}
func (l *recordedLog) Sync() error                { l.did = append(l.did, "sync"); return nil }
func (l *recordedLog) ReleaseLockTo(uint64) error { return nil }
func (l *recordedLog) Close() error               { return nil }

// A snapshot does not count without a commit index that covers it. If a torn write kept the entries behind it and lost
// that, the log had a gap and the node did not start any more. (Found by the simulation.)
func TestReceivedSnapshotCountsBeforeEntriesFollow(t *testing.T) {
	files, err := openSnapshots(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	written := &recordedLog{}
	l := &diskLog{wal: written, memory: etcdraft.NewMemoryStorage(), snapshots: files}
	meta := raftpb.Snapshot{Metadata: raftpb.SnapshotMetadata{Index: 10, Term: 2}}
	if err := l.saveSnapshot(meta, &snapshotData{}, raftpb.HardState{Term: 2, Commit: 10}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"snapshot", "commit index", "sync"}; !slices.Equal(written.did, want) {
		t.Errorf("written: %v, want %v", written.did, want)
	}
	if first, err := l.memory.FirstIndex(); err != nil || first != 11 {
		t.Errorf("the log begins at %d, %v", first, err)
	}
}
