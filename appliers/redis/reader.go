package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// Protocol is the version of RESP in which replies are asked for.
type Protocol uint8

// The versions that a backend speaks.
const (
	RESP2 Protocol = 2
	RESP3 Protocol = 3
)

// readers are the shared connections for reads, one for each database and protocol.
type readers struct {
	b  *Backend
	mu sync.RWMutex
	// conns has a connection for each database that is read. A broken one stays until it is replaced.
	conns map[readKey]*readConn
	dials map[readKey]*readDial
	// era counts dropAll: what is made when it is called is not used.
	era int
}

type readKey struct {
	protocol Protocol
	db       int
}

// readDial is the making of a connection, which everybody who needs it waits for.
type readDial struct {
	era  int
	done chan struct{}
	conn *readConn
	err  error
}

// Read is ReadAs with RESP2.
func (b *Backend) Read(ctx context.Context, db int, request []byte, n int) (replies []byte, done int, err error) {
	return b.ReadAs(ctx, RESP2, db, request, n)
}

// ReadAs runs n read commands, concatenated in request, in database db, and returns the raw replies of the first done of
// them, in the protocol asked for. done is less than n if the replies of more would exceed Config.ReadBudget; those are thrown away.
//
// An error reply that depends on data is a reply. The returned errors are of the machine: no connection, no progress for
// Config.ReplyTimeout, a server that is loading or, until ctx ends, busy with a script, or one that holds less than was
// applied (ErrBehind). The caller owns replies; request may be used again when Read returns. Safe for concurrent use: calls
// share a connection.
func (b *Backend) ReadAs(ctx context.Context, p Protocol, db int, request []byte, n int) (replies []byte, done int, err error) {
	b.stats.reads.Add(1)
	for {
		replies, done, err = b.readOnce(ctx, p, db, request, n)
		if !errors.Is(err, errBusy) || ctx.Done() == nil || !pause(ctx, busyPause) {
			return replies, done, err
		}
	}
}

func (b *Backend) readOnce(ctx context.Context, p Protocol, db int, request []byte, n int) (replies []byte, done int, err error) {
	c, err := b.reads.get(ctx, readKey{p, db})
	if err != nil {
		return nil, 0, err
	}
	return c.read(ctx, request, n)
}

// errBusy means that the server runs a script for longer than its busy-reply-threshold. All scripts of the log end by
// themselves, so it is worth waiting for.
var errBusy = errors.New("the backend runs a script")

// busyPause is how long a read waits before it asks a busy server again.
const busyPause = 5 * time.Millisecond

// pause reports false if ctx has ended before d has passed.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Query runs one read command and returns its raw reply.
func (b *Backend) Query(ctx context.Context, db int, args ...string) ([]byte, error) {
	reply, done, err := b.Read(ctx, db, appendStrings(nil, args...), 1)
	if err == nil && done == 0 {
		err = fmt.Errorf("%s: the reply exceeds %d bytes", args[0], b.cfg.ReadBudget)
	}
	return reply, err
}

// get returns the connection for key, making it if there is none that works.
func (rs *readers) get(ctx context.Context, key readKey) (*readConn, error) {
	rs.mu.RLock()
	c := rs.conns[key]
	rs.mu.RUnlock()
	if c != nil && !c.broken.Load() {
		return c, nil
	}
	rs.mu.Lock()
	if c := rs.conns[key]; c != nil && !c.broken.Load() {
		rs.mu.Unlock()
		return c, nil
	}
	d := rs.dials[key]
	if d == nil {
		if rs.b.closing.Err() != nil {
			rs.mu.Unlock()
			return nil, ErrClosed
		}
		d = &readDial{era: rs.era, done: make(chan struct{})}
		if rs.dials == nil {
			rs.conns, rs.dials = make(map[readKey]*readConn), make(map[readKey]*readDial)
		}
		rs.dials[key] = d
		go rs.dial(key, d)
	}
	rs.mu.Unlock()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// dial makes the connection for key. closeAll waits for it by its entry in dials.
func (rs *readers) dial(key readKey, d *readDial) {
	c, err := rs.b.dialRead(rs.b.closing, key.protocol, key.db)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.dials, key)
	if err == nil && d.era != rs.era {
		_ = c.Close()
		err = errDropped
	}
	if err != nil {
		d.err = fmt.Errorf("connect for reads: %w", err)
	} else {
		if old := rs.conns[key]; old != nil {
			old.stop(ErrClosed)
		}
		d.conn = newReadConn(c, rs.b.cfg.ReplyTimeout, rs.b.cfg.ReadBudget)
		rs.conns[key] = d.conn
	}
	close(d.done)
}

// dialRead makes a connection for reads in database db, to a server that holds at least what was applied.
func (b *Backend) dialRead(ctx context.Context, p Protocol, db int) (*conn, error) {
	if b.id.Load() == nil {
		return nil, errors.New("the backend is not open")
	}
	if b.restoring.Load() {
		return nil, errRestoring
	}
	high := b.high.Load()
	c, release, err := b.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	err = b.checkRead(c, db, high)
	if err == nil && p != RESP2 {
		err = c.speak(p)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (b *Backend) checkRead(c *conn, db int, high uint64) error {
	if db < 0 || db >= c.server.databases {
		return fmt.Errorf("database %d is out of range, the backend has %d", db, c.server.databases)
	}
	value, found, err := b.getMarker(c, false)
	if err != nil {
		return err
	}
	var held raft.Position
	if found {
		if held, err = b.checkMarker(value); err != nil {
			return err
		}
	}
	if !found || held.Index < high {
		err := fmt.Errorf("%w: it holds index %d of %d that were applied to it", ErrBehind, held.Index, high)
		b.behind.Store(true)
		b.report(err)
		return err
	}
	_, err = c.one("SELECT", strconv.Itoa(db))
	return err
}

// dropAll closes all connections, also those that are being made, because they belong to data that is gone. Calls on
// them fail with why.
func (rs *readers) dropAll(why error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.era++
	for _, c := range rs.conns {
		c.stop(why)
	}
	clear(rs.conns)
}

// closeAll closes all connections and waits for what is being made. The Backend is closing.
func (rs *readers) closeAll() {
	rs.mu.Lock()
	var pending []*readDial
	for _, d := range rs.dials {
		pending = append(pending, d)
	}
	rs.mu.Unlock()
	for _, d := range pending {
		<-d.done
	}
	rs.dropAll(ErrClosed)
}
