package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
)

// streamBuffer is what a stream holds in memory at most.
const streamBuffer = 64 << 10

// streams are the connections of StreamAs. Each is used by one call at a time.
type streams struct {
	b     *Backend
	slots chan struct{} // one for each call that runs

	mu   sync.Mutex
	idle []*streamConn
	busy map[*streamConn]struct{}
	wg   sync.WaitGroup // calls that run
	shut bool
	// era counts dropAll: a connection that was being made then is not used.
	era int
}

type streamConn struct {
	c   *conn
	key readKey
}

func (s *streams) init(b *Backend) {
	s.b = b
	s.slots = make(chan struct{}, b.cfg.StreamConns)
	s.busy = make(map[*streamConn]struct{})
}

// Stream is StreamAs with RESP2.
func (b *Backend) Stream(ctx context.Context, db int, request []byte, w io.Writer) error {
	return b.StreamAs(ctx, RESP2, db, request, w)
}

// StreamAs runs one read command in database db and copies its raw reply to w as it arrives, however large it is, in the
// protocol asked for. It waits while Config.StreamConns other calls run. After an error, w may have got a part of the reply. Errors of w are wrapped;
// the others are as with Read. Safe for concurrent use; w should not block for ever.
func (b *Backend) StreamAs(ctx context.Context, p Protocol, db int, request []byte, w io.Writer) error {
	b.stats.reads.Add(1)
	s := &b.streams
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !s.enter() {
		return ErrClosed
	}
	defer s.wg.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.closing, cancel)()

	key := readKey{p, db}
	for {
		sc, fresh, err := s.get(ctx, key)
		if err != nil {
			return fmt.Errorf("connect for a stream: %w", err)
		}
		started, err := s.run(ctx, sc, key, request, w)
		var machine *machineError
		if err == nil || errors.As(err, &machine) {
			s.put(sc)
			return err
		}
		s.drop(sc)
		// An idle connection may have been closed by a restart of the server.
		if fresh || started || !isLost(err) || ctx.Err() != nil {
			return err
		}
	}
}

// machineError is an error reply about the server. The connection is in step.
type machineError struct{ text string }

func (e *machineError) Error() string { return "backend answered " + strconv.Quote(e.text) }

func (s *streams) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return false
	}
	s.wg.Add(1)
	return true
}

// get takes an idle connection, one of the same kind first, or makes one.
func (s *streams) get(ctx context.Context, key readKey) (sc *streamConn, fresh bool, err error) {
	s.mu.Lock()
	era := s.era
	at := len(s.idle) - 1
	for i := range s.idle {
		if s.idle[i].key == key {
			at = i
		}
	}
	if at >= 0 {
		sc = s.idle[at]
		s.idle = append(s.idle[:at], s.idle[at+1:]...)
		s.busy[sc] = struct{}{}
		s.mu.Unlock()
		return sc, false, nil
	}
	s.mu.Unlock()
	c, err := s.b.dialRead(ctx, key.protocol, key.db)
	if err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.era != era {
		_ = c.Close()
		return nil, false, errDropped
	}
	sc = &streamConn{c: c, key: key}
	s.busy[sc] = struct{}{}
	return sc, true, nil
}

func (s *streams) put(sc *streamConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.busy[sc]; !ok || s.shut {
		_ = sc.c.Close()
	} else {
		s.idle = append(s.idle, sc)
	}
	delete(s.busy, sc)
}

// drop closes a connection that is out of step or broken.
func (s *streams) drop(sc *streamConn) {
	_ = sc.c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, sc)
}

// run sends the request and copies the reply. started tells whether w got anything.
func (s *streams) run(ctx context.Context, sc *streamConn, key readKey, request []byte, w io.Writer) (started bool, err error) {
	c := sc.c
	release := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer func() {
		if !release() && err != nil {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}()
	if err := sc.turn(key); err != nil {
		return false, err
	}
	if _, err := c.Write(request); err != nil {
		return false, fmt.Errorf("write to backend: %w", err)
	}
	first, err := c.r.peek()
	if err != nil {
		return false, fmt.Errorf("read from backend: %w", err)
	}
	if first == '-' {
		line, err := c.r.line()
		if err != nil {
			return false, fmt.Errorf("read from backend: %w", err)
		}
		if isServerError(line) {
			return false, &machineError{errorText(line)}
		}
		if _, err := w.Write(line); err != nil {
			return true, &writeError{err}
		}
		return true, nil
	}
	out := bufio.NewWriterSize(w, streamBuffer)
	if err := c.r.copyTo(out); err != nil {
		return true, fmt.Errorf("copy reply: %w", err)
	}
	if err := out.Flush(); err != nil {
		return true, &writeError{err}
	}
	return true, c.SetDeadline(time.Time{})
}

// turn brings a connection that was used for something else to a database and protocol.
func (sc *streamConn) turn(key readKey) error {
	if sc.key.db != key.db {
		if key.db < 0 || key.db >= sc.c.server.databases {
			return fmt.Errorf("database %d is out of range, the backend has %d", key.db, sc.c.server.databases)
		}
		if _, err := sc.c.one("SELECT", strconv.Itoa(key.db)); err != nil {
			return err
		}
	}
	if sc.key.protocol != key.protocol {
		if err := sc.c.speak(key.protocol); err != nil {
			return err
		}
	}
	sc.key = key
	return nil
}

// dropAll closes all connections, also those that are used or being made, because they belong to data that is gone.
func (s *streams) dropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.era++
	for _, sc := range s.idle {
		_ = sc.c.Close()
	}
	s.idle = nil
	for sc := range s.busy {
		_ = sc.c.Close()
	}
	clear(s.busy)
}

// closeAll ends what runs and waits for it. The Backend is closing.
func (s *streams) closeAll() {
	s.mu.Lock()
	s.shut = true
	s.mu.Unlock()
	s.dropAll()
	s.wg.Wait()
}
