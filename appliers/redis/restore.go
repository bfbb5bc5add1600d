package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/nexus-replication/nexus/raft"
	"github.com/nexus-replication/nexus/raft/failpoint"
)

// Restore fills the backend by being its master for a moment: REPLICAOF, one full synchronization, REPLICAOF NO ONE.
// Everything it held is replaced, also function libraries; only its script cache stays. See raft.Store.
//
// From its beginning until it succeeds, also in a later call, no read is answered. The backend carries a position of this
// node all the time, first zero, then that of the snapshot; but for the moment between the end of the synchronization and
// the next command, when it is the position of the node that the snapshot was taken from.
func (b *Backend) Restore(ctx context.Context, id raft.Identity, snap *raft.Snapshot) error {
	b.restoring.Store(true)
	b.report(errRestoring)
	b.id.Store(&id)
	b.dropConn()
	b.reads.dropAll(errRestoring)
	b.streams.dropAll()
	b.watchers.dropAll()
	b.subscribers.dropAll()

	err := b.restore(ctx, snap)
	if err != nil {
		err = fmt.Errorf("restore backend %s: %w", b.cfg.Addr, err)
	}
	b.report(err)
	if err != nil {
		return err
	}
	b.fatal = nil
	b.restoring.Store(false)
	b.log.Info("backend restored", "addr", b.cfg.Addr, "term", b.held.Term, "index", b.held.Index, "bytes", snap.Size, "deadlines", b.size.Load())
	return nil
}

func (b *Backend) restore(ctx context.Context, snap *raft.Snapshot) error {
	format, summed, err := checkRDB(ctx, snap)
	if err != nil {
		return err
	}
	if !summed {
		b.log.Warn("the snapshot has no checksum of the server that wrote it: set rdbchecksum yes on the backends", "index", snap.Index)
	}
	c, release, err := b.dialAny(ctx)
	if err != nil {
		return err
	}
	defer release()
	err = b.replaceData(ctx, c, snap, format)
	if err != nil && b.conn != c {
		_ = c.Close()
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

func (b *Backend) replaceData(ctx context.Context, c *conn, snap *raft.Snapshot, format int) error {
	if err := b.mayReplace(ctx, c, snap, format); err != nil {
		return err
	}
	if b.last.id != 0 && b.last.runID == c.server.runID {
		if err := b.kill(c, b.last.id); err != nil {
			return fmt.Errorf("stop what is on its way: %w", err)
		}
	}
	m, err := listenMaster(c, snap, b.log)
	if err != nil {
		return err
	}
	defer m.close()
	failpoint.Hit("redis.before-restore")
	err = b.refill(ctx, c, m, snap)
	if err == nil {
		return nil
	}
	if undo := b.detachAnew(ctx, m); undo != nil {
		b.log.Warn("the backend may be left as a replica of this node, or with other settings, until it is restored again",
			"addr", b.cfg.Addr, "settings", b.lent.settings, "err", undo)
	}
	return err
}

// refill does what may go wrong in the middle: the backend may be a replica of m then, and has other settings.
func (b *Backend) refill(ctx context.Context, c *conn, m *master, snap *raft.Snapshot) error {
	if err := b.borrow(c); err != nil {
		return err
	}
	if err := b.wipe(c); err != nil {
		return err
	}
	if err := replicate(ctx, c, m); err != nil {
		return err
	}
	if err := detach(c, m); err != nil {
		return err
	}
	failpoint.Hit("redis.before-marker")
	if err := b.takeOver(c, snap); err != nil {
		return err
	}
	return b.lent.giveBack(c)
}

// wipe leaves nothing in the backend but a position of zero, which says whose it is. The connection watches the position:
// nobody has written it since it was found that the data may go.
//
// That comes before the new data so that memory need not hold both, and because data that is half replaced must never
// look like what it was.
func (b *Backend) wipe(c *conn) error {
	replies, err := c.roundTrip(
		[]string{"MULTI"},
		[]string{"FUNCTION", "FLUSH"},
		[]string{"FLUSHALL", "ASYNC"},
		[]string{"SET", markerKey, string(appendMarker(nil, *b.id.Load(), raft.Position{}))},
		[]string{"EXEC"})
	if err != nil {
		return fmt.Errorf("empty it: %w", err)
	}
	for _, raw := range replies {
		if isError(raw) {
			return fmt.Errorf("empty it: backend answered %q", errorText(raw))
		}
	}
	n, results, ok := cutHead(replies[len(replies)-1], '*')
	if !ok || n != len(replies)-2 || isError(results) {
		return fmt.Errorf("empty it: %w (backend answered %.80q)", errPositionChanged, replies[len(replies)-1])
	}
	return nil
}

// takeOver makes the backend, which holds the data of snap, this node's, and c the connection of Apply.
func (b *Backend) takeOver(c *conn, snap *raft.Snapshot) error {
	value, found, err := b.getMarker(c, true)
	if err != nil {
		return err
	}
	if want := appendMarker(nil, snap.Origin, snap.Position); !found || value != string(want) {
		if err := b.wipe(c); err != nil {
			b.log.Error("the backend holds data that is not of this cluster: run FLUSHALL on it", "addr", b.cfg.Addr, "err", err)
		}
		return refuse("the snapshot of index %d says that it is of %q, want %q: it is a snapshot of something else, or the nodes use different metadata databases",
			snap.Index, value, want)
	}
	next := string(appendMarker(nil, *b.id.Load(), snap.Position))
	if _, err := c.one("SET", markerKey, next); err != nil {
		return fmt.Errorf("write the position: %w", err)
	}
	if value, found, err = b.getMarker(c, true); err != nil {
		return err
	}
	if !found || value != next {
		return errPositionChanged
	}
	if err := c.learn(); err != nil {
		return err
	}
	if c.server.role != "master" {
		return errors.New("somebody made it a replica again")
	}
	if err := b.renewDeadlines(c, snap.Position); err != nil {
		return err
	}
	if err := b.configure(c); err != nil {
		return err
	}
	b.take(c, snap.Position, value)
	b.high.Store(snap.Index)
	return nil
}

// renewDeadlines makes the index that of the new data. Where the data is older than what was applied here before, it goes
// on to hold what it held: those entries come again, and what this node proposes meanwhile must find their deadlines.
func (b *Backend) renewDeadlines(c *conn, position raft.Position) error {
	if position.Index < b.high.Load() {
		return b.rebuild(c, b.Deadlines)
	}
	fresh := newDeadlines()
	if err := b.rebuild(c, fresh); err != nil {
		return err
	}
	b.replace(fresh)
	return nil
}
