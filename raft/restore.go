package raft

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

// restoringFile is there from before the first Restore of a snapshot until after the last: the backend may hold anything
// meanwhile, and a node that starts then must not ask it for its position.
const restoringFile = "restoring.json"

type restoringNote struct {
	Index uint64 `json:"index"`
}

// errRestoring is what clients are told meanwhile.
type errRestoring struct{ index uint64 }

func (e errRestoring) Error() string {
	return fmt.Sprintf("it is being filled from the snapshot at index %d", e.index)
}

// restore fills the Store from the newest snapshot, because the log no longer reaches back to what it holds. It goes on
// until it succeeds; an error is fatal.
func (a *applyLoop) restore(ctx context.Context) error {
	r := a.r
	meta, err := r.pinNewest()
	if err != nil {
		return fmt.Errorf("find the newest snapshot: %w", err)
	}
	defer r.unpin()
	if etcdraft.IsEmptySnap(meta) {
		return fmt.Errorf("the backend holds index %d, and there is neither log nor snapshot after it", a.position.Index)
	}
	index := meta.Metadata.Index
	// What is on disk may have come from another member since.
	if meta, err = r.disk.snapshots.at(index); err != nil {
		return fmt.Errorf("find the newest snapshot: %w", err)
	}
	r.log.Warn("filling the backend from a snapshot", "holds", a.position.Index, "snapshot", index)
	a.failing(errRestoring{index})
	r.mail.call(r.handOver)
	again := false
	for pause := minApplyPause; ; pause = min(2*pause, maxApplyPause) {
		err := r.restoreStore(ctx, meta, again)
		if err == nil {
			break
		}
		var fatal *FatalError
		if errors.As(err, &fatal) {
			return err
		}
		a.failing(fmt.Errorf("%w: %w", errRestoring{index}, err))
		again = true
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
	a.jump(Position{Term: meta.Metadata.Term, Index: index})
	a.recovered()
	return nil
}

// pinNewest returns the newest snapshot, which stays on disk until unpin, also if a newer one comes meanwhile.
func (r *Replicator) pinNewest() (raftpb.Snapshot, error) {
	r.pinning.Lock()
	defer r.pinning.Unlock()
	meta, err := r.disk.memory.Snapshot()
	if err == nil {
		r.pinned = meta.Metadata.Index
	}
	return meta, err
}

func (r *Replicator) unpin() {
	r.pinning.Lock()
	defer r.pinning.Unlock()
	r.pinned = 0
}

// repair restores the newest snapshot, which came from another member, whatever the backend holds.
func (a *applyLoop) repair(ctx context.Context, _ uint64) error {
	r := a.r
	if r.snapshotTurn.awaitEnd() {
		// It is of the backend as it was, and would be the newest afterwards.
		select {
		case <-time.After(minApplyPause):
		case <-ctx.Done():
		}
		return nil
	}
	if r.snapshotIndex.Load() != r.mustRestore.Load() {
		r.mustRestore.Store(0)
		return nil
	}
	if err := a.restore(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	err := r.leaveQuarantine()
	r.mustRestore.Store(0)
	return err
}

// jump goes on after a snapshot that was restored.
func (a *applyLoop) jump(to Position) {
	r := a.r
	if to.Index > a.highest {
		// What was committed on the way was not seen here.
		r.loseOutcomes(to.Term)
		r.mail.call(r.forgetWaits)
		a.highest = to.Index
	}
	if r.observer != nil {
		r.observer.Applied(nil)
	}
	a.position = to
	a.settledTerm = max(a.settledTerm, to.Term)
	r.applied.Store(to.Index)
	r.appliedTerm.Store(to.Term)
	r.applyWaits.advance(to.Index)
	r.mail.wake()
}

// loseOutcomes ends the wait for the proposals that may have been committed unseen, in a term up to term.
func (r *Replicator) loseOutcomes(term uint64) {
	for _, p := range r.pending.takeBefore(term + 1) {
		if p.state.CompareAndSwap(proposalOffered, proposalDone) {
			p.failed = fmt.Errorf("%w: this node took over a snapshot in which the outcome is not told", ErrOutcomeUnknown)
			p.done <- struct{}{}
		}
	}
}

// restoreStore restores the snapshot that meta describes, under the cover of restoringFile.
func (r *Replicator) restoreStore(ctx context.Context, meta raftpb.Snapshot, again bool) error {
	data, err := decodeSnapshotData(meta.Data)
	if err != nil {
		return &FatalError{err}
	}
	index := meta.Metadata.Index
	body, err := r.disk.snapshots.openBody(index)
	if err != nil {
		return r.unusable(index, err)
	}
	defer body.Close()
	if err := body.verify(ctx); err != nil {
		return r.unusable(index, err)
	}
	if err := r.noteRestoring(index); err != nil {
		return err
	}
	start := time.Now()
	err = r.cfg.Store.Restore(ctx, Identity{Cluster: r.identity.Cluster, Node: r.identity.ID}, &Snapshot{
		Position: Position{Term: meta.Metadata.Term, Index: index},
		Origin:   Identity{Cluster: data.Cluster, Node: data.Node},
		Data:     body.data(),
		Size:     body.size,
		Again:    again,
	})
	if err != nil {
		return fmt.Errorf("restore the snapshot at index %d: %w", index, err)
	}
	if err := r.forgetRestoring(); err != nil {
		return err
	}
	r.metrics.restored.Observe(time.Since(start).Seconds())
	r.log.Info("backend filled from a snapshot", "index", index, "bytes", body.size, "took", time.Since(start).Round(time.Millisecond))
	return nil
}

// unusable makes an error fatal that trying again does not mend.
func (r *Replicator) unusable(index uint64, err error) error {
	if errors.Is(err, errSnapshotDamaged) || errors.Is(err, fs.ErrNotExist) {
		return &FatalError{fmt.Errorf("the snapshot at index %d cannot be used: %w: replace this node (remove it, empty its data directory, add it again)", index, err)}
	}
	return err
}

func (r *Replicator) noteRestoring(index uint64) error {
	if r.restoring.Load() == index {
		return nil
	}
	data, err := json.Marshal(restoringNote{Index: index})
	if err == nil {
		err = writeFileDurably(filepath.Join(r.cfg.DataDir, restoringFile), data)
	}
	if err != nil {
		return fmt.Errorf("note that a snapshot is being restored: %w", err)
	}
	r.restoring.Store(index)
	return nil
}

func (r *Replicator) forgetRestoring() error {
	err := os.Remove(filepath.Join(r.cfg.DataDir, restoringFile))
	if err == nil {
		err = syncDir(r.cfg.DataDir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("note that a snapshot is restored: %w", err)
	}
	r.restoring.Store(0)
	return nil
}

// installSnapshot begins the log anew at a snapshot that was received, and whose body the transport has put on disk.
// The apply loop notices by itself that what comes after its position is gone. Loop only.
func (r *Replicator) installSnapshot(meta raftpb.Snapshot, state raftpb.HardState) error {
	data, err := decodeSnapshotData(meta.Data)
	if err != nil {
		return err
	}
	index := meta.Metadata.Index
	if err := r.disk.saveSnapshot(meta, &data, state); err != nil {
		return err
	}
	r.log.Info("received a snapshot", "index", index, "from", formatID(data.Node))
	r.lease.drop()
	r.membership.reset(index, meta.Metadata.ConfState, &data)
	r.snapshotIndex.Store(index)
	r.snapshotAt.Store(time.Now().UnixNano())
	if r.membership.isRemoved(r.identity.ID) {
		return ErrRemoved
	}
	r.transport.setPeers(data.Members, r.identity.ID)
	return nil
}
