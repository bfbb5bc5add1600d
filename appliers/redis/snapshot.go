package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// forkWait bounds how long Snapshot waits for the server to fix the state, during which nothing is applied. The fork
// itself takes milliseconds; a server that has to wait for another child says so before.
const forkWait = 2 * time.Second

// Snapshot has the backend fork a child that sends an RDB, and returns it as a stream. It carries all databases, among
// them the one with the position, and the function libraries. See raft.Store.
//
// The server is asked as a replica would, over a connection of its own, but for the RDB alone: with rdb-only it gets
// none of the writes that follow, so that a slow reader costs the server no memory and is not cut off for it.
func (b *Backend) Snapshot(ctx context.Context) (io.ReadCloser, error) {
	if b.fatal != nil {
		return nil, b.fatal
	}
	s, err := b.snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("snapshot of backend %s: %w", b.cfg.Addr, err)
	}
	return s, nil
}

func (b *Backend) snapshot(ctx context.Context) (*rdbStream, error) {
	if b.restoring.Load() {
		return nil, errRestoring
	}
	// To connect is left to Apply: what it may find out then, raft must hear from it.
	if b.conn == nil || b.behind.Load() {
		return nil, errors.New("there is no connection to it that may be used")
	}
	if err := b.look(ctx); err != nil {
		return nil, err
	}
	control, c, err := b.dialTwo(ctx)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	if control.server.child {
		err = errChild
	} else {
		err = b.fork(ctx, control, c)
	}
	if err == nil {
		err = b.stillHolds(control) // somebody else may have emptied it just before the child was there
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return newRDBStream(ctx, b, c), nil
}

// dialTwo makes two connections at a time, because nothing is applied meanwhile.
func (b *Backend) dialTwo(ctx context.Context) (first, second *conn, err error) {
	type dialed struct {
		c   *conn
		err error
	}
	other := make(chan dialed, 1)
	go func() {
		c, err := b.dialHeld(ctx)
		other <- dialed{c, err}
	}()
	first, err = b.dialHeld(ctx)
	got := <-other
	second = got.c
	if err = cmp.Or(err, got.err); err == nil {
		return first, second, nil
	}
	for _, c := range []*conn{first, second} {
		if c != nil {
			_ = c.Close()
		}
	}
	return nil, nil, err
}

// dialHeld makes a connection to the process that Apply is connected to, and makes sure that it holds what was applied.
func (b *Backend) dialHeld(ctx context.Context) (*conn, error) {
	c, release, err := b.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := b.stillHolds(c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// stillHolds makes sure that c is to the process that Apply is connected to, and that this holds what was applied.
func (b *Backend) stillHolds(c *conn) error {
	value, _, err := b.getMarker(c, false)
	if err == nil && (c.server.runID != b.conn.server.runID || value != string(b.marker)) {
		err = errPositionChanged
	}
	return err
}

// fork makes c the connection on which an RDB arrives. When it returns nil, the state that it will have is fixed.
func (b *Backend) fork(ctx context.Context, control, c *conn) error {
	// By default the server waits some seconds for more replicas before it starts a child that writes to sockets, and
	// may be told to write to its disk first. Without the first of these, it writes to its disk at once.
	former, err := override(control, setting{"repl-diskless-sync", "yes"}, setting{"repl-diskless-sync-delay", "0"})
	defer func() {
		if err := giveBack(control, former); err != nil {
			b.log.Warn("settings of the backend could not be given back", "addr", b.cfg.Addr, "settings", former, "err", err)
		}
	}()
	diskless := err == nil
	b.shedBacklog(control)
	if !diskless {
		b.log.Warn("the snapshot is written to the disk of the backend first, because it cannot be told otherwise", "addr", b.cfg.Addr, "err", err)
	}

	ctx, cancel := context.WithTimeoutCause(ctx, forkWait, fmt.Errorf("it did not begin within %s", forkWait))
	defer cancel()
	release := context.AfterFunc(ctx, func() { _ = c.Close() })
	err = askRDB(c, diskless, control.server.offset)
	if !release() {
		return context.Cause(ctx)
	}
	return err
}

// askRDB sends what a replica would send and waits for the answer that the server gives when it forks.
func askRDB(c *conn, diskless bool, offset int64) error {
	// A replica that takes more than this one never shares an RDB with it: the server would send one that was begun
	// before it was asked for here.
	if diskless {
		if _, err := c.one("REPLCONF", "capa", "eof"); err != nil {
			return err
		}
	}
	if _, err := c.one("REPLCONF", "rdb-only", "1"); err != nil {
		return err
	}
	// Not sent together with the others: the server refuses it while it owes a reply.
	if _, err := c.Write(appendStrings(nil, "PSYNC", "?", "-1")); err != nil {
		return fmt.Errorf("PSYNC: %w", err)
	}
	line, err := lineAfterKeepalives(c)
	if err != nil {
		return fmt.Errorf("PSYNC: %w", err)
	}
	fields := strings.Fields(string(line))
	if len(fields) != 3 || fields[0] != "+FULLRESYNC" {
		return fmt.Errorf("PSYNC: backend answered %.200q", line)
	}
	begun, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || begun < offset {
		return fmt.Errorf("PSYNC: backend answered %.200q, an RDB from before offset %d", line, offset)
	}
	return nil
}

// lineAfterKeepalives reads a line, which empty ones may precede: the server sends them while it is busy otherwise.
func lineAfterKeepalives(c *conn) ([]byte, error) {
	for {
		first, err := c.r.peek()
		if err != nil {
			return nil, unexpected(err)
		}
		if first != '\n' {
			return c.r.line()
		}
		if err := c.r.discard(1); err != nil {
			return nil, err
		}
	}
}

// shedBacklog has the server drop the memory of past writes that it keeps for replicas, a second after the last one left
// instead of after an hour. Until then it costs 12 to 22 % of the writes per second (SET, pipelined, 7.0.15). That stays
// so: only replicas, which this backend must not have, would ever use it.
func (b *Backend) shedBacklog(c *conn) {
	if _, err := override(c, setting{"repl-backlog-ttl", "1"}); err != nil {
		b.log.Warn("the backend keeps a replication backlog, which makes it slower: set repl-backlog-ttl 1 on it", "addr", b.cfg.Addr, "err", err)
	}
}

// errChild is for the caller to try again: nothing is applied while Snapshot waits.
var errChild = fmt.Errorf("%w: it saves or sends its data already, and has one child at a time", raft.ErrBusy)

var errRestoring = errors.New("the backend is being filled from a snapshot")
