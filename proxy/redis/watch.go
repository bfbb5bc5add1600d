package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

// watch is what a session watches, until EXEC, DISCARD, UNWATCH, RESET or the end of the session.
//
// Whether a key was touched is decided in two steps. The local backend, which watches the keys on a connection of its
// own, knows what has touched them up to what it has applied. What stands in the log behind that, the leader knows: EXEC
// goes to it with the condition that nothing there names one of the keys.
type watch struct {
	watcher *backend.Watcher
	keys    []watchedKey
	known   map[watchedKey]struct{}
	bytes   int
	// broken is set when keys could not be watched that the client asked for: EXEC then executes nothing.
	broken bool
}

type watchedKey struct {
	db  int
	key string
}

// add notes keys for the condition.
func (w *watch) add(db int, keys [][]byte) {
	for _, k := range keys {
		wk := watchedKey{db, string(k)}
		if _, ok := w.known[wk]; ok {
			continue
		}
		w.known[wk] = struct{}{}
		w.keys = append(w.keys, wk)
		w.bytes += len(k) + watchedOverhead
	}
}

// watchedOverhead is about what a watched key needs beside its bytes.
const watchedOverhead = 64

// conditions returns what the log must hold to after index, one item for each database.
func (w *watch) conditions(index uint64) []backend.Item {
	var items []backend.Item
	byDB := make(map[int][]string)
	var dbs []int
	for _, k := range w.keys {
		if _, ok := byDB[k.db]; !ok {
			dbs = append(dbs, k.db)
		}
		byDB[k.db] = append(byDB[k.db], k.key)
	}
	for _, db := range dbs {
		items = append(items, backend.ConditionItem(index, db, byDB[db]))
	}
	return items
}

// cmdWatch is WATCH. It is never queued.
func (s *session) cmdWatch(args [][]byte) {
	keys := args[1:]
	size := 0
	for _, k := range keys {
		size += len(k) + watchedOverhead
	}
	if s.watch != nil {
		size += s.watch.bytes
	}
	switch {
	case s.multi != nil:
		s.out = appendError(s.out, "ERR WATCH inside MULTI is not allowed")
		return
	case size > s.srv.cfg.MaxTransactionBytes:
		s.out = appendError(s.out, errTextWatchTooLarge)
		return
	}
	if s.watch == nil {
		s.watch = &watch{watcher: s.srv.backend.NewWatcher(), known: make(map[watchedKey]struct{})}
	}
	w := s.watch
	err := errEarlier
	if !s.failed {
		err = s.watchKeys(keys)
	}
	if err != nil {
		w.broken = true
		s.fail(err, !errors.Is(err, backend.ErrWatchers))
		s.out = appendError(s.out, readErrorText(err))
		return
	}
	w.add(s.db, keys)
	s.out = append(s.out, replyOK...)
}

// fail counts an error of the machine. With rest, the rest of the batch is refused.
func (s *session) fail(err error, rest bool) {
	if s.failed {
		return
	}
	s.failed = rest
	s.srv.metrics.failed(err)
}

// watchKeys has the backend watch keys as of a moment after everything acknowledged before, and without those among them
// that are due: that they go is no change to a client that asked when they were gone already.
func (s *session) watchKeys(keys [][]byte) error {
	for round := 0; ; round++ {
		due := false
		ctx := s.phaseContext()
		err := s.srv.rep.Read(ctx, func(ctx context.Context) error {
			if due = round < maxExpiryRounds && s.anyDue(keys); due {
				return nil
			}
			return s.watch.watcher.Watch(ctx, s.db, keys)
		})
		if err == nil && due {
			if _, err = s.srv.rep.Propose(ctx, nil); err != nil {
				err = fmt.Errorf("expire keys: %w", err)
			}
		}
		s.clock.stop()
		if err != nil || !due {
			return err
		}
	}
}

// anyDue reports whether the deadline of one of keys of the session's database has come.
func (s *session) anyDue(keys [][]byte) bool {
	return slices.ContainsFunc(keys, func(k []byte) bool { return s.isDue(s.db, k) })
}

func (s *session) isDue(db int, key []byte) bool {
	now := failpoint.Now().UnixMilli()
	if next, ok := s.srv.backend.NextDue(); !ok || next > now {
		return false
	}
	at, ok := s.srv.backend.Deadline(db, key)
	return ok && at <= now
}

// cmdUnwatch is UNWATCH. As a part of a transaction it has nothing to do: EXEC has ended the watch.
func (s *session) cmdUnwatch(dst []byte, _ [][]byte) []byte {
	s.unwatch()
	return append(dst, replyOK...)
}

// unwatch ends what the session watches.
func (s *session) unwatch() {
	if s.watch == nil {
		return
	}
	s.watch.watcher.Release(s.phaseContext())
	s.clock.stop()
	s.watch = nil
}

// forgetWatch is unwatch for a session that ends: it does not wait for anything.
func (s *session) forgetWatch() {
	if s.watch != nil {
		s.watch.watcher.Close()
		s.watch = nil
	}
}

// untouched ends the watch for EXEC. It returns the conditions under which the transaction may be executed, or ok false
// if it may not. logged says whether the transaction goes to the log, where the conditions will be looked at.
//
// The index is taken before the backend is asked: what the backend has seen beyond it is looked at twice, which does no
// harm, and nothing is missed.
func (s *session) untouched(logged bool) (conditions []backend.Item, ok bool, err error) {
	w := s.watch
	if w == nil {
		return nil, true, nil
	}
	defer s.unwatch()
	if w.broken {
		return nil, false, nil
	}
	ctx := s.phaseContext()
	defer s.clock.stop()
	if !logged {
		if err := s.catchUp(ctx); err != nil {
			return nil, false, err
		}
	}
	index := s.srv.rep.Status().Applied
	// That the connection is lost says nothing about the keys, so they count as touched.
	if clean, err := w.watcher.Untouched(ctx); err != nil || !clean {
		return nil, false, nil //nolint:nilerr // see above
	}
	return w.conditions(index), true, nil
}

// catchUp waits until the local backend has seen everything that was acknowledged, and the deletion of watched keys that
// are due: nobody else will look at a transaction that does not go to the log.
func (s *session) catchUp(ctx context.Context) error {
	for _, k := range s.watch.keys {
		if s.isDue(k.db, []byte(k.key)) {
			if _, err := s.srv.rep.Propose(ctx, nil); err != nil {
				return fmt.Errorf("expire keys: %w", err)
			}
			return nil
		}
	}
	return s.srv.rep.Read(ctx, func(context.Context) error { return nil })
}

// logged reports whether a transaction has to go to the log.
func (t *transaction) logged() bool {
	for i := range t.cmds {
		if d := &t.cmds[i].d; d.Err == "" && d.Policy != policy.Local {
			return true
		}
	}
	return false
}
