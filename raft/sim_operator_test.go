package raft

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

func (w *simWorld) transfer() {
	n, to := w.victim(), w.pick(w.nodes)
	if n == nil {
		return
	}
	id := to.id
	if w.chance(0.3) {
		id = 0
	}
	w.probe(n)
	if n.r.leading && w.chance(0.4) {
		w.after(w.between(0, 5*time.Millisecond), func() {
			if !w.healed {
				w.deafen(n) // it does not hear that its successor was elected
			}
		})
	}
	w.operate(n, "transfer", func(ctx context.Context, r *Replicator) error { return r.TransferLeadership(ctx, id) })
}

func (w *simWorld) takeSnapshot() {
	if n := w.victim(); n != nil {
		w.operate(n, "snapshot", func(ctx context.Context, r *Replicator) error { return r.Snapshot(ctx) })
	}
}

// addOne adds a node that was not there when the cluster was made.
func (w *simWorld) addOne() {
	for _, joiner := range w.nodes {
		if !joiner.mayJoin() {
			continue
		}
		if n := w.victim(); n != nil && w.chance(0.7) {
			w.operate(n, "add", func(ctx context.Context, r *Replicator) error { return r.AddMember(ctx, joiner.url) })
			return
		}
	}
}

// mayJoin reports whether the node can be added, and starts it if it was never started.
func (n *simNode) mayJoin() bool {
	if !n.joined || n.removed || n.removable {
		return false
	}
	if n.r == nil && n.run == 0 {
		n.boot()
	}
	return true
}

// leaver chooses who is to be removed: one at most, so that a majority of those who were there first is left.
func (w *simWorld) leaver() *simNode {
	asked := 0
	for _, n := range w.nodes {
		if n.removable {
			asked++
		}
	}
	victim := w.pick(w.nodes)
	if asked > 0 && !victim.removable {
		return nil
	}
	return victim
}

func (w *simWorld) removeOne() {
	n, victim := w.victim(), w.leaver()
	if n == nil || victim == nil {
		return
	}
	victim.removable = true
	w.operate(n, "remove", func(ctx context.Context, r *Replicator) error { return r.RemoveMember(ctx, victim.url, false) })
}

// replaceOne puts a node that was not there at first in the place of another.
func (w *simWorld) replaceOne() {
	n, victim := w.victim(), w.leaver()
	if n == nil || victim == nil || victim.joined {
		return
	}
	for _, joiner := range w.nodes {
		if joiner.mayJoin() {
			victim.removable = true
			w.operate(n, "replace", func(ctx context.Context, r *Replicator) error { return r.ReplaceMember(ctx, victim.url, joiner.url) })
			return
		}
	}
}

// verify compares the members. Unless one was damaged there is nothing to be found.
func (w *simWorld) verify() {
	n := w.victim()
	if n == nil {
		return
	}
	w.operate(n, "verify", func(ctx context.Context, r *Replicator) error {
		report, err := r.Verify(ctx)
		for _, m := range report.Members {
			if len(m.Differences) > 0 && !w.damaged {
				err = errors.Join(err, fmt.Errorf("%w: %+v", errSimViolation, report))
			}
		}
		return err
	})
}

// backUp takes a backup, which must hold what some prefix of the log led to.
func (w *simWorld) backUp() {
	n := w.victim()
	if n == nil {
		return
	}
	w.operate(n, "backup", func(ctx context.Context, r *Replicator) error {
		var data bytes.Buffer
		if _, err := r.Backup(ctx, &data); err != nil {
			return err
		}
		if err := w.checkBackup(n, data.Bytes()); err != nil {
			return fmt.Errorf("%w: backup: %w", errSimViolation, err)
		}
		return nil
	})
}

func (w *simWorld) checkBackup(n *simNode, data []byte) error {
	if _, err := CheckBackup(bytes.NewReader(data)); err != nil {
		return err
	}
	b, err := openBackup(bytes.NewReader(data))
	if err != nil {
		return err
	}
	state := newSimState()
	if err := json.NewDecoder(b.stream()).Decode(&state); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ledger.restored(n, Position{Term: b.Term, Index: b.Index}, &state)
	return nil
}

// damageOne changes what a backend holds behind its node's back, at a key that no client uses: so that nothing but a
// comparison can find it. One at most is damaged, or it could be in the majority.
func (w *simWorld) damageOne() {
	if w.damaged {
		return
	}
	n := w.pick(w.nodes)
	w.damaged = true
	w.note("n%d is damaged", n.i)
	n.store.state.Data["damaged"] = "x"
}
