package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

// errPositionChanged says that somebody else changed the position, and nothing was applied. What that means, settle
// finds out on a new connection.
var errPositionChanged = errors.New("the position was changed by somebody else")

// Apply applies entries in transactions that each carry the position of their last entry. See raft.Store.
//
// After an error that is not fatal, a part of the entries may be applied: the next call notices and goes on behind it.
// A waiting command of an entry that was applied without its reply gets raft.ErrReplyLost. A call without entries only
// makes sure that the backend is there and holds what it should.
func (b *Backend) Apply(ctx context.Context, entries []raft.Entry) error {
	if b.fatal != nil {
		return b.fatal
	}
	err := b.apply(ctx, entries)
	var fatal *raft.FatalError
	if errors.As(err, &fatal) {
		b.fatal = err
	}
	b.report(err)
	return err
}

func (b *Backend) apply(ctx context.Context, entries []raft.Entry) error {
	if b.id.Load() == nil {
		return errors.New("apply: the backend is not open")
	}
	if b.restoring.Load() {
		return fmt.Errorf("apply: %w", errRestoring)
	}
	defer b.attend()()
	for retry := true; ; retry = false {
		err := b.applyOnce(ctx, entries)
		// A closed connection says at once that trying again is worth it. Silence has cost its timeout already.
		if err == nil || !retry || ctx.Err() != nil || !isLost(err) && !errors.Is(err, errPositionChanged) {
			return err
		}
		b.log.Warn("connecting to the backend again", "addr", b.cfg.Addr, "err", err)
	}
}

func (b *Backend) applyOnce(ctx context.Context, entries []raft.Entry) error {
	if b.behind.Load() {
		b.dropConn()
	}
	if b.conn == nil {
		if err := b.settle(ctx); err != nil {
			return err
		}
	} else if len(entries) == 0 {
		return b.look(ctx)
	}
	rest, err := b.follow(entries)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(maxBusy)
	for len(rest) > 0 {
		if err := b.run.build(&b.cfg, rest, b.conn.server.databases, b.settings, b.users); err != nil {
			return err
		}
		b.tell(rest[:b.run.entries])
		err := b.execute(ctx)
		if errors.Is(err, errBusy) && time.Now().Before(deadline) && pause(ctx, busyPause) {
			b.sign(processSign) // a client's script reads on another connection
			continue
		}
		if err != nil {
			return err
		}
		b.stats.entries.Add(uint64(b.run.entries))
		rest = rest[b.run.entries:]
	}
	return nil
}

// look makes sure that the backend answers and still holds what was applied to it.
func (b *Backend) look(ctx context.Context) error {
	c := b.conn
	release := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer release()
	value, found, err := b.getMarker(c, false)
	if errors.Is(err, errBusy) {
		return nil // it is there, and runs a script
	}
	if err == nil && (!found || value != string(b.marker)) {
		err = errPositionChanged
	}
	if err != nil {
		b.dropConn()
		return fmt.Errorf("look at backend %s: %w", b.cfg.Addr, err)
	}
	return nil
}

// follow returns the entries that the backend does not hold yet.
func (b *Backend) follow(entries []raft.Entry) ([]raft.Entry, error) {
	for i := range entries {
		e := &entries[i]
		if e.Index > b.held.Index {
			if e.Index-e.Pieces != b.held.Index+1 {
				return nil, &raft.BehindError{Position: b.held}
			}
			return entries[i:], nil
		}
		for j := range e.Commands {
			if c := &e.Commands[j]; c.Wanted && c.Reply == nil && c.Err == nil {
				c.Err = raft.ErrReplyLost
			}
		}
	}
	return nil, nil
}

// execute sends the transaction that was built, reads its replies and hands them out.
func (b *Backend) execute(ctx context.Context) error {
	r, c := &b.run, b.conn
	next := appendMarker(nil, *b.id.Load(), r.position)
	r.finish(b.cfg.MetadataDB, next)
	b.flight = &flight{position: r.position, marker: next}
	b.scripted.Store(r.scripted)

	release := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer release()
	failpoint.Hit("redis.before-exec")
	err := r.write(c)
	failpoint.Hit("redis.after-exec-write")
	if err == nil {
		err = r.read(c.r, string(b.marker), b.cfg.MaxReplyBytes)
	}
	failpoint.Hit("redis.after-exec")

	var queue *queueError
	var mine *runError
	switch {
	case err == nil:
	case errors.As(err, &queue):
		// The server has thrown all of it away, and the connection is in step.
		b.flight = nil
		return fmt.Errorf("apply entries up to %d: %w", r.position.Index, err)
	case errors.As(err, &mine) && mine.watched:
		b.flight = nil
		b.dropConn()
		return fmt.Errorf("apply entries up to %d to backend %s: %w", r.position.Index, b.cfg.Addr, errPositionChanged)
	case errors.As(err, &mine):
		return b.broken(c, mine)
	default:
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		b.flight.probes, b.flight.probeAll = r.unsure(b.Deadlines)
		b.dropConn()
		return fmt.Errorf("apply entries up to %d to backend %s: %w", r.position.Index, b.cfg.Addr, err)
	}
	if err := r.index(b.Deadlines); err != nil {
		return b.broken(c, &runError{text: err.Error(), diverged: true})
	}
	b.held, b.marker, b.flight = r.position, next, nil
	b.keepSettings(r.settings)
	b.keepUsers(r.users)
	b.raise(r.position.Index)
	b.stats.execs.Add(1)
	b.stats.evicted.Add(uint64(r.evicted))
	b.stats.commands.Add(uint64(r.answer()))
	return nil
}

// broken turns what must never happen into the error that stops the node. If the data of the backend may differ from
// that of other nodes, its position is made unusable, so that a restart does not go on with it.
func (b *Backend) broken(c *conn, e *runError) error {
	fatal := &raft.FatalError{Err: fmt.Errorf("apply entries up to %d to backend %s: %w", b.run.position.Index, b.cfg.Addr, e)}
	if e.diverged {
		spoiled := fmt.Sprintf("v1 spoiled after %q: %.300s", b.marker, e.text)
		if _, err := c.roundTrip([]string{"SELECT", fmt.Sprint(b.cfg.MetadataDB)}, []string{"SET", markerKey, spoiled}); err != nil {
			b.log.Error("the position of the backend could not be made unusable: run FLUSHALL on it before this node starts again", "err", err)
		}
	}
	b.dropConn()
	return fatal
}
