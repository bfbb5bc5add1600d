package redis

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

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
	// Callers that became ready together are written together.
	runtime.Gosched()
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

// watch closes the connection when it owes replies and makes no progress for timeout, unless the server is busy.
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
		if rc.owed.Load() == 0 || progress != last || rc.c.busy != nil && rc.c.busy() {
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
