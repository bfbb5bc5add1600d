package raft

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// A node that has a log need not have a backend to vote and to keep the log: it does both when its backend fails later. So a
// node whose backend does not answer when it is started runs raft, and the apply loop opens the Store when it does. Otherwise
// the outage of a second node would cost the group its majority until a server has recovered. The first try comes before raft
// runs: a backend that shows the data directory to be an old one keeps the node from voting. A new member waits, because what is behind it
// may not be fit at all.

// unopenedError is the problem of a backend that has not been opened since the node was started.
type unopenedError struct{ err error }

func (e *unopenedError) Error() string {
	return fmt.Sprintf("it has not been opened since the node was started: %v", e.err)
}

func (e *unopenedError) Unwrap() error { return e.err }

// openFirst opens the backend before raft runs, or leaves that to the apply loop.
func (r *Replicator) openFirst(ctx context.Context) (position Position, err error) {
	unfinished, err := r.unfinishedRestore()
	if err != nil {
		return position, err
	}
	if unfinished != 0 {
		r.log.Warn("filling the backend from a snapshot again, this was cut off", "snapshot", unfinished)
	}
	if r.disk.existed && unfinished != 0 { // that may take long
		r.unopened(errRestoring{unfinished})
		return position, nil
	}
	for said := false; ; said = true {
		position, err = r.openBackend(ctx)
		var fatal *FatalError
		switch {
		case err == nil || errors.As(err, &fatal) || ctx.Err() != nil:
			return position, err
		case r.disk.existed:
			r.unopened(err)
			return Position{}, nil
		}
		r.setProblem("backend: " + err.Error())
		if !said {
			r.log.Warn("waiting for the backend", "err", err)
		}
		select {
		case <-time.After(backendOpenPause):
		case <-ctx.Done():
			return position, err
		}
	}
}

func (r *Replicator) unopened(err error) {
	problem := error(&unopenedError{err})
	r.backendProblem.Store(&problem)
	r.log.Warn("waiting for the backend, voting meanwhile", "err", err)
}

// openBackend restores once more what an earlier run of this node left unfinished, and opens the Store.
func (r *Replicator) openBackend(ctx context.Context) (position Position, err error) {
	if err := r.finishRestoring(ctx); err != nil {
		return position, err
	}
	id := Identity{Cluster: r.identity.Cluster, Node: r.identity.ID}
	if position, err = r.cfg.Store.Open(ctx, id); err != nil {
		return position, fmt.Errorf("open the backend: %w", err)
	}
	return position, r.checkHeld(position)
}

// unfinishedRestore returns the index of the snapshot that an earlier run of this node did not restore to its end, or 0.
func (r *Replicator) unfinishedRestore() (uint64, error) {
	var note restoringNote
	if _, err := readNote(filepath.Join(r.cfg.DataDir, restoringFile), &note); err != nil {
		return 0, fmt.Errorf("read %s: %w", restoringFile, err)
	}
	r.restoring.Store(note.Index) // from here on it is not purged
	return note.Index, nil
}

func (r *Replicator) finishRestoring(ctx context.Context) error {
	index := r.restoring.Load()
	if index == 0 {
		return nil
	}
	meta, err := r.disk.snapshots.at(index)
	if err != nil {
		return &FatalError{fmt.Errorf("find the snapshot that was being restored: %w", err)}
	}
	if err := r.restoreStore(ctx, meta, true); err != nil {
		return fmt.Errorf("%w: %w", errRestoring{index}, err)
	}
	return nil
}

// openLate opens the backend that did not answer when the node was started. An error is fatal.
func (a *applyLoop) openLate(ctx context.Context) error {
	for {
		position, err := a.r.openBackend(ctx)
		if err == nil {
			a.opened(position)
			return nil
		}
		var fatal *FatalError
		if errors.As(err, &fatal) {
			return err
		}
		a.failing(&unopenedError{err})
		select {
		case <-time.After(backendOpenPause):
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *applyLoop) opened(position Position) {
	r := a.r
	a.position, a.highest = position, position.Index
	r.applied.Store(position.Index)
	r.appliedTerm.Store(position.Term)
	r.applyWaits.advance(position.Index)
	r.mail.wake()
	a.recovered()
	close(r.opened)
}

// awaitOpened returns when the backend is open. A member that was removed needs none: it is there to say so.
func (r *Replicator) awaitOpened(ctx context.Context) error {
	select {
	case <-r.opened:
	case <-ctx.Done():
	}
	if r.isOpen() || errors.Is(r.Err(), ErrRemoved) {
		return nil
	}
	if r.ctx.Err() != nil {
		return r.stopCause()
	}
	if p := r.backendProblem.Load(); p != nil {
		return fmt.Errorf("backend of this node: %w", *p)
	}
	return context.Cause(ctx)
}

func (r *Replicator) isOpen() bool { return isClosed(r.opened) }
