package raft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
	"go.etcd.io/etcd/server/v3/wal/walpb"

	"github.com/nexus-replication/nexus/raft/failpoint"
)

const (
	// The entries before a snapshot that stay in the log for members that lag a little, and never more than
	// Config.SnapshotCount.
	keptEntries = 5000
	keptBytes   = 32 << 20
	// snapshotReport is how often the log tells how far a snapshot is.
	snapshotReport = 5 * time.Second
)

// Snapshot takes a snapshot of this node's backend, and shortens its log. It returns when that is done. While the backend
// is busy, it waits for as long as ctx allows.
func (r *Replicator) Snapshot(ctx context.Context) error {
	if err := r.refusal(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotDone, err)
	}
	done := r.snapshotTurn.ask()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if busy := r.snapshotTurn.giveUp(done); busy != nil {
			return fmt.Errorf("snapshot: %w: %w", context.Cause(ctx), busy)
		}
		return fmt.Errorf("snapshot: %w", context.Cause(ctx))
	case <-r.ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotDone, r.stopCause())
	}
}

// snapshotIfDue begins a snapshot. Apply is not called meanwhile, so that the Store knows of which position it is; the
// rest is done beside it.
func (a *applyLoop) snapshotIfDue() {
	r := a.r
	if r.quarantined.Load() != nil {
		return // nobody needs a snapshot of this backend
	}
	if a.position.Index > r.commit.Load() {
		// After a restart the backend may be ahead of what is known to be committed. A snapshot that is newer than the
		// commit index in the log would not count at the next start, when nothing older is left.
		return
	}
	newest := r.snapshotIndex.Load()
	if a.position.Index < max(newest, a.highest, 1) {
		return // the backend has come back empty or older, and is being filled
	}
	due := a.position.Index-newest >= r.cfg.SnapshotCount || a.logBytes >= r.cfg.SnapshotBytes
	asked, ok := r.snapshotTurn.begin(due)
	if !ok {
		return
	}
	if a.position.Index == newest {
		r.snapshotTurn.end(asked, nil) // nothing has happened since
		return
	}
	a.beginSnapshot(asked, nil)
}

// beginSnapshot takes a snapshot of the present position, and calls then, if it is not nil, when it is on disk or failed.
func (a *applyLoop) beginSnapshot(asked []chan error, then func(context.Context, error)) {
	r := a.r
	position, start := a.position, time.Now()
	stream, err := r.cfg.Store.Snapshot(r.ctx)
	if err != nil {
		err = fmt.Errorf("take a snapshot: %w", err)
		a.noSnapshot(asked, position, err)
		if then != nil {
			then(r.ctx, err)
		}
		return
	}
	a.logBytes = 0
	held := time.Since(start)
	r.spawn(func(ctx context.Context) {
		from := io.Reader(contextReader{ctx, stream})
		if then != nil {
			from = &pacedReader{ctx: r.snapshotTurn.rests(ctx, asked), r: from, pace: newPace()}
		}
		size, err := r.writeSnapshot(ctx, position, stream, from)
		if errors.Is(err, ErrBusy) {
			r.brokenSnapshot(asked, position, err)
		} else {
			if err != nil {
				r.log.Warn("no snapshot, the log goes on growing", "index", position.Index, "err", err)
			} else {
				r.metrics.taken.Observe(time.Since(start).Seconds())
				r.log.Info("snapshot", "index", position.Index, "bytes", size, "took", time.Since(start).Round(time.Millisecond), "held", held.Round(time.Millisecond))
			}
			r.snapshotTurn.end(asked, err)
		}
		if then != nil {
			then(ctx, err)
		}
	})
}

// brokenSnapshots are so many in a row that somebody should look why.
const brokenSnapshots = 4

// brokenSnapshot takes note of a snapshot that the backend could not finish, but may the next time.
func (r *Replicator) brokenSnapshot(asked []chan error, position Position, err error) {
	times := r.snapshotTurn.breakOff(asked, err)
	if times < brokenSnapshots {
		r.log.Info("a snapshot was broken off, and is taken again", "index", position.Index, "why", err)
		return
	}
	r.log.Warn("no snapshot, the log goes on growing", "index", position.Index, "times", times, "err", err)
}

// noSnapshot takes note of a snapshot that could not be begun.
func (a *applyLoop) noSnapshot(asked []chan error, position Position, err error) {
	r := a.r
	if !errors.Is(err, ErrBusy) {
		r.log.Warn("no snapshot, the log goes on growing", "index", position.Index, "err", err)
		r.snapshotTurn.end(asked, err)
		return
	}
	if r.snapshotTurn.postpone(asked, err) {
		r.log.Info("a snapshot has to wait", "index", position.Index, "why", err)
	}
}

// writeSnapshot puts the state at position on disk and lets the log begin there.
func (r *Replicator) writeSnapshot(ctx context.Context, position Position, stream io.Closer, from io.Reader) (size int64, err error) {
	defer stream.Close()
	var meta raftpb.Snapshot
	err = r.onLoop(ctx, func() (err error) {
		meta, err = r.snapshotMetadata(position)
		return err
	})
	if err != nil {
		return 0, err
	}
	size, err = r.disk.snapshots.saveBody(position.Index, from, r.reportSnapshot(position.Index))
	if err != nil {
		return 0, err
	}
	failpoint.Hit("raft.after-snapshot-body")
	if err := r.disk.snapshots.saveMetadata(meta); err != nil {
		return 0, err
	}
	if err := r.onLoop(ctx, func() error { return r.compact(meta) }); err != nil {
		return 0, err
	}
	return size, r.purge()
}

// purge removes what the newest snapshot made needless, but for a snapshot that is being restored and the one of the
// last checkpoint: a member that was found to differ there comes for it.
func (r *Replicator) purge() error {
	r.pinning.Lock()
	defer r.pinning.Unlock()
	keep := []uint64{r.restoring.Load(), r.pinned}
	if c := r.checkpoint.Load(); c != nil {
		keep = append(keep, c.position.Index)
	}
	return r.disk.purge(r.snapshotIndex.Load(), keep...)
}

// reportSnapshot returns a function that counts progress, and writes it to the log now and then.
func (r *Replicator) reportSnapshot(index uint64) func(total int64) {
	last, before := time.Now(), int64(0)
	return func(total int64) {
		r.snapshotWritten.Add(uint64(total - before))
		before = total
		if time.Since(last) >= snapshotReport {
			last = time.Now()
			r.log.Info("writing a snapshot", "index", index, "bytes", total)
		}
	}
}

// snapshotMetadata describes the log up to position. Loop only.
func (r *Replicator) snapshotMetadata(position Position) (raftpb.Snapshot, error) {
	state, ok := r.membership.at(position.Index)
	if !ok {
		return raftpb.Snapshot{}, fmt.Errorf("the members at index %d are not known any more", position.Index)
	}
	data := snapshotData{
		Version: snapshotVersion, Cluster: r.identity.Cluster, Node: r.identity.ID,
		Stamp: r.disk.lastStamp, Members: state.members, Removed: state.removed,
	}
	return raftpb.Snapshot{
		Data:     data.encode(),
		Metadata: raftpb.SnapshotMetadata{ConfState: state.conf, Index: position.Index, Term: position.Term},
	}, nil
}

// compact lets the log begin at a snapshot that is on disk, but for a tail that stays in memory for members that lag.
// Loop only.
func (r *Replicator) compact(meta raftpb.Snapshot) error {
	index := meta.Metadata.Index
	if index <= r.snapshotIndex.Load() {
		return nil // a newer one was received meanwhile
	}
	if err := r.disk.noteSnapshot(meta); err != nil {
		r.fail(err) // whether the log holds the record is not known
		return err
	}
	if _, err := r.disk.memory.CreateSnapshot(index, &meta.Metadata.ConfState, meta.Data); err != nil {
		return fmt.Errorf("note the snapshot at index %d: %w", index, err)
	}
	keep, err := r.disk.keepFrom(index, min(keptEntries, r.cfg.SnapshotCount))
	if err == nil && keep > 0 {
		err = r.disk.memory.Compact(keep)
	}
	if err != nil && !errors.Is(err, etcdraft.ErrCompacted) {
		return fmt.Errorf("shorten the log to index %d: %w", index, err)
	}
	r.membership.forgetBefore(index)
	r.snapshotIndex.Store(index)
	r.snapshotAt.Store(time.Now().UnixNano())
	return r.disk.release(index)
}

// noteSnapshot records in the log that a snapshot is on disk.
func (l *diskLog) noteSnapshot(meta raftpb.Snapshot) error {
	err := l.wal.SaveSnapshot(walpb.Snapshot{
		Index: meta.Metadata.Index, Term: meta.Metadata.Term, ConfState: &meta.Metadata.ConfState,
	})
	if err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	return nil
}

// keepFrom returns the index up to which the copy of the log in memory can go, when there is a snapshot at index: a tail
// of so many entries stays.
func (l *diskLog) keepFrom(index, tail uint64) (uint64, error) {
	first, err := l.memory.FirstIndex()
	if err != nil || first > index {
		return 0, err
	}
	from := max(first, index-min(index, tail)+1)
	entries, err := l.memory.Entries(from, index+1, math.MaxUint64)
	if err != nil {
		return 0, err
	}
	bytes := 0
	for i := range slices.Backward(entries) {
		if bytes += len(entries[i].Data); bytes > keptBytes {
			return entries[i].Index, nil
		}
	}
	return from - 1, nil
}

// release lets go of the log's files before index; purge removes them.
func (l *diskLog) release(index uint64) error {
	if err := l.wal.ReleaseLockTo(index); err != nil {
		return fmt.Errorf("release the log before index %d: %w", index, err)
	}
	return nil
}

// purge removes what the snapshot at index made needless, except for the snapshots at keep.
func (l *diskLog) purge(index uint64, keep ...uint64) error {
	if err := l.snapshots.purge(index, keep...); err != nil {
		return err
	}
	names, err := os.ReadDir(l.walPath)
	if err != nil {
		return fmt.Errorf("purge the log: %w", err)
	}
	for _, entry := range names { // in order of their numbers
		if !strings.HasSuffix(entry.Name(), ".wal") {
			continue
		}
		path := filepath.Join(l.walPath, entry.Name())
		// What is still needed is locked by the log itself.
		lock, err := fileutil.TryLockFile(path, os.O_WRONLY, fileutil.PrivateFileMode)
		if err != nil {
			return nil
		}
		err = os.Remove(path)
		lock.Close()
		if err != nil {
			return fmt.Errorf("purge the log: %w", err)
		}
	}
	return nil
}
