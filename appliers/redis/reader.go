package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
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

// readCall is one Read call on its way. The reader of the connection sends to done exactly once; a caller that does not
// wait for that leaves the call to the garbage collector.
type readCall struct {
	n         int
	abandoned atomic.Bool
	done      chan struct{}

	replies []byte
	count   int
	err     error
}

var readCalls = sync.Pool{New: func() any { return &readCall{done: make(chan struct{}, 1)} }}

// readConn is a connection that many callers share. A caller adds its request to pending; the one that finds nobody
// writing writes for all. One goroutine reads the replies and hands them out in order, another notices silence.
type readConn struct {
	c      *conn
	budget int
	broken atomic.Bool
	owed   atomic.Int64 // calls without a reply

	mu      sync.Mutex
	pending []byte
	spare   []byte
	calls   []*readCall // written or pending, not yet taken by the reader
	writing bool
	err     error // why no more calls are taken

	quit chan struct{}
	wg   sync.WaitGroup
}

// handOver is the number of writes after which a caller stops writing for others.
const handOver = 4

func newReadConn(c *conn, timeout time.Duration, budget int) *readConn {
	c.timeout = 0 // the watchdog's business from here on
	_ = c.SetDeadline(time.Time{})
	rc := &readConn{c: c, budget: budget, quit: make(chan struct{})}
	rc.wg.Add(2)
	go rc.readLoop()
	go rc.watch(timeout)
	return rc
}

func (rc *readConn) read(ctx context.Context, request []byte, n int) ([]byte, int, error) {
	call := readCalls.Get().(*readCall)
	call.n, call.replies, call.count, call.err = n, nil, 0, nil
	if err := rc.submit(call, request); err != nil {
		readCalls.Put(call)
		return nil, 0, err
	}
	if ctx.Done() == nil {
		<-call.done
	} else {
		select {
		case <-call.done:
		case <-ctx.Done():
			call.abandoned.Store(true)
			return nil, 0, context.Cause(ctx)
		}
	}
	replies, count, err := call.replies, call.count, call.err
	call.replies, call.err = nil, nil
	readCalls.Put(call)
	return replies, count, err
}

// submit queues the call and sees to it that its request is written.
func (rc *readConn) submit(call *readCall, request []byte) error {
	rc.mu.Lock()
	if rc.err != nil {
		defer rc.mu.Unlock()
		return rc.err
	}
	rc.pending = append(rc.pending, request...)
	rc.calls = append(rc.calls, call)
	rc.owed.Add(1)
	if rc.writing {
		rc.mu.Unlock()
		return nil
	}
	rc.writing = true
	rc.mu.Unlock()
	rc.flush(handOver)
	return nil
}

// flush writes what is pending until nothing is, or hands that over to a goroutine after some rounds: a caller must not
// write for others for ever. The caller of flush has set writing.
func (rc *readConn) flush(rounds int) {
	rc.mu.Lock()
	for len(rc.pending) > 0 && rc.err == nil {
		if rounds == 0 {
			rc.wg.Add(1)
			rc.mu.Unlock()
			go func() {
				defer rc.wg.Done()
				rc.flush(-1)
			}()
			return
		}
		rounds--
		out := rc.pending
		rc.pending = rc.spare[:0]
		rc.mu.Unlock()
		_, err := rc.c.Write(out)
		rc.mu.Lock()
		if cap(out) <= 1<<20 {
			rc.spare = out
		} else {
			rc.spare = nil
		}
		if err != nil {
			rc.failLocked(fmt.Errorf("write to backend: %w", err))
		}
	}
	rc.writing = false
	rc.mu.Unlock()
}

// failLocked closes the connection; the reader then fails all calls with the first error. The caller holds mu.
func (rc *readConn) failLocked(err error) {
	if rc.err != nil {
		return
	}
	rc.err = err
	rc.broken.Store(true)
	close(rc.quit)
	_ = rc.c.Close()
}

func (rc *readConn) fail(err error) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.failLocked(err)
}

// stop closes the connection and waits for its goroutines. Calls on it fail with why.
func (rc *readConn) stop(why error) {
	rc.fail(why)
	rc.wg.Wait()
}

// watch closes the connection when it owes replies and makes no progress for timeout.
func (rc *readConn) watch(timeout time.Duration) {
	defer rc.wg.Done()
	const looks = 4
	ticker := time.NewTicker(timeout / looks)
	defer ticker.Stop()
	silent, last := 0, uint64(0)
	for {
		select {
		case <-rc.quit:
			return
		case <-ticker.C:
		}
		progress := rc.c.progress.Load()
		if rc.owed.Load() == 0 || progress != last {
			silent, last = 0, progress
			continue
		}
		if silent++; silent >= looks {
			rc.fail(fmt.Errorf("backend made no progress for %s", timeout))
			return
		}
	}
}

// readLoop reads replies for the calls in their order.
func (rc *readConn) readLoop() {
	defer rc.wg.Done()
	var taken []*readCall
	var scratch []byte
	for {
		// Wait for the first byte without holding anything; what it belongs to was queued before it was asked for.
		if _, err := rc.c.r.peek(); err != nil {
			rc.fail(fmt.Errorf("read from backend: %w", err))
			rc.failCalls(nil)
			return
		}
		rc.mu.Lock()
		taken, rc.calls = rc.calls, taken[:0]
		rc.mu.Unlock()
		if len(taken) == 0 {
			rc.fail(fmt.Errorf("read from backend: %w: a reply that nobody asked for", errProtocol))
			rc.failCalls(nil)
			return
		}
		for i, call := range taken {
			var err error
			if scratch, err = rc.serve(call, scratch); err != nil {
				rc.fail(fmt.Errorf("read from backend: %w", err))
				rc.failCalls(taken[i:])
				return
			}
		}
		clear(taken)
	}
}

// failCalls answers the calls taken, and those still queued, with the error of the connection.
func (rc *readConn) failCalls(taken []*readCall) {
	rc.mu.Lock()
	queued := rc.calls
	rc.calls = nil
	err := rc.err
	rc.mu.Unlock()
	for _, calls := range [][]*readCall{taken, queued} {
		for _, call := range calls {
			call.err = err
			rc.owed.Add(-1)
			call.done <- struct{}{}
		}
	}
}

// serve reads the replies of one call and answers it. They are gathered in scratch, which is returned for the next call:
// what a caller gets is allocated once, in its size.
func (rc *readConn) serve(call *readCall, scratch []byte) ([]byte, error) {
	scratch = scratch[:0]
	var machine error
	count, full := 0, call.abandoned.Load()
	for range call.n {
		if full {
			if err := rc.c.r.skip(); err != nil {
				return nil, err
			}
			continue
		}
		start := len(scratch)
		var kept bool
		var err error
		if scratch, kept, err = rc.c.r.keep(scratch, rc.budget); err != nil {
			return nil, err
		}
		if !kept {
			full = true
			continue
		}
		count++
		if raw := scratch[start:]; raw[0] == '-' && isServerError(raw) {
			machine = &replyError{command: "read", class: errorClass(raw), text: errorText(raw)}
			full = true
		}
	}
	switch {
	case machine != nil:
		call.err = machine
	case len(scratch) > 64<<10:
		call.replies, call.count = scratch, count
		scratch = nil
	default:
		call.replies, call.count = append([]byte(nil), scratch...), count
	}
	rc.owed.Add(-1)
	call.done <- struct{}{}
	return scratch, nil
}

// isServerError tells whether a raw error reply to a read is about the server and not about what was asked.
func isServerError(raw []byte) bool {
	switch errorClass(raw) {
	case "LOADING", "MASTERDOWN", "NOAUTH", "BUSY", "NOPERM":
		return true
	default:
		return false
	}
}
