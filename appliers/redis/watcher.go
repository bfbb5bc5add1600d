package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
)

const (
	// maxIdleWatchers is how many connections are kept for the next one who watches.
	maxIdleWatchers = 32
	// watchBuffer is enough for the replies of a watcher's connection, which are short.
	watchBuffer = 512
)

// ErrWatchers is wrapped by the error of a Watch that found Config.WatchConns others.
var ErrWatchers = errors.New("too many clients watch keys on this node")

// errNotWatching is returned where a Watcher holds no watch any more: what happened to the keys is not known.
var errNotWatching = errors.New("the backend does not watch the keys any more")

// watchers are the connections on which keys are watched. Each belongs to one Watcher at a time.
type watchers struct {
	b *Backend

	mu   sync.Mutex
	idle []*conn
	busy map[*conn]struct{}
	// taken is the number of Watchers that have a connection or are making one.
	taken int
	shut  bool
	// era counts dropAll: a connection that was being made then is not used.
	era int
}

// Watcher watches keys on a connection of its own to the backend, as a client of it would. It is not safe for concurrent
// use. Make it with Backend.NewWatcher; it takes a connection with the first Watch.
type Watcher struct {
	pool *watchers
	c    *conn
	db   int
	// watching is set from the first Watch until the backend was told, or has told, that it is over.
	watching bool
}

// NewWatcher returns a Watcher that watches nothing.
func (b *Backend) NewWatcher() *Watcher { return &Watcher{pool: &b.watchers} }

// Watch watches keys of database db, in addition to what is watched. After an error the Watcher holds no watch and no
// connection.
func (w *Watcher) Watch(ctx context.Context, db int, keys [][]byte) error {
	if w.c == nil && w.watching {
		return errNotWatching
	}
	fresh := w.c != nil
	for {
		if w.c == nil {
			var err error
			if w.c, fresh, err = w.pool.take(ctx); err != nil {
				return fmt.Errorf("connect to watch: %w", err)
			}
			w.db = -1
		}
		err := w.watch(ctx, db, keys)
		if err == nil {
			return nil
		}
		again := !fresh && !w.watching && isLost(err) && ctx.Err() == nil
		w.Close()
		// An idle connection may have been closed by a restart of the server.
		if !again {
			return fmt.Errorf("watch: %w", err)
		}
	}
}

func (w *Watcher) watch(ctx context.Context, db int, keys [][]byte) error {
	var request []byte
	n := 1
	if w.db != db {
		request, n = appendStrings(request, "SELECT", strconv.Itoa(db)), 2
	}
	request = appendHead(request, '*', len(keys)+1)
	request = append(request, "$5\r\nWATCH\r\n"...)
	for _, k := range keys {
		request = appendHead(request, '$', len(k))
		request = append(append(request, k...), '\r', '\n')
	}
	lines, err := w.ask(ctx, request, n)
	if err != nil {
		return err
	}
	for _, line := range lines {
		if line != "+OK\r\n" {
			return fmt.Errorf("backend answered %q", line)
		}
	}
	w.db, w.watching = db, true
	return nil
}

// Untouched reports whether no key was touched since it was watched, by anything that the backend has executed so far.
// The watch is over then. With an error, nothing is known.
func (w *Watcher) Untouched(ctx context.Context) (bool, error) {
	if w.c == nil || !w.watching {
		return false, errNotWatching
	}
	lines, err := w.ask(ctx, []byte("*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nEXEC\r\n"), 2)
	switch {
	case err != nil:
	case lines[0] != "+OK\r\n" || lines[1] != "*0\r\n" && lines[1] != "*-1\r\n":
		err = fmt.Errorf("backend answered %q", lines)
	default:
		w.watching = false
		return lines[1] == "*0\r\n", nil
	}
	w.Close()
	return false, fmt.Errorf("check what is watched: %w", err)
}

// ask sends commands and reads their replies, of one line each.
func (w *Watcher) ask(ctx context.Context, request []byte, n int) ([]string, error) {
	c := w.c
	release := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer release()
	lines := make([]string, n)
	if _, err := c.Write(request); err != nil {
		return nil, fmt.Errorf("write to backend: %w", err)
	}
	for i := range lines {
		line, err := c.r.line()
		if err != nil {
			return nil, fmt.Errorf("read from backend: %w", err)
		}
		lines[i] = string(line)
	}
	if !release() {
		return nil, context.Cause(ctx)
	}
	return lines, nil
}

// Release ends the watch and gives the connection back. The Watcher may be used again.
func (w *Watcher) Release(ctx context.Context) {
	if w.c != nil && w.watching {
		lines, err := w.ask(ctx, []byte("*1\r\n$7\r\nUNWATCH\r\n"), 1)
		if err != nil || lines[0] != "+OK\r\n" {
			w.Close()
		}
	}
	w.watching = false
	if w.c == nil {
		return
	}
	w.pool.put(w.c)
	w.c = nil
}

// Close closes the connection, which ends the watch, without waiting for anything. What was watched is forgotten only by
// Release: until then Watch and Untouched fail.
func (w *Watcher) Close() {
	if w.c != nil {
		w.pool.drop(w.c)
		w.c = nil
	}
}

// take returns an idle connection, or makes one.
func (p *watchers) take(ctx context.Context) (c *conn, fresh bool, err error) {
	p.mu.Lock()
	switch limit := p.b.cfg.WatchConns; {
	case p.shut:
		p.mu.Unlock()
		return nil, false, ErrClosed
	case p.taken >= limit:
		p.mu.Unlock()
		return nil, false, fmt.Errorf("%w: %d, which is the limit", ErrWatchers, limit)
	}
	p.taken++
	if n := len(p.idle); n > 0 {
		c = p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.busy[c] = struct{}{}
		p.mu.Unlock()
		return c, false, nil
	}
	era := p.era
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.b.closing, cancel)()
	c, err = p.b.dialRead(ctx, RESP2, 0)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.era != era {
		_ = c.Close()
		err = errDropped
	}
	if err != nil {
		p.taken--
		return nil, false, err
	}
	// There may be many, most of them idle: nothing is buffered that the large buffer was needed for.
	c.r = newReplyReader(c, watchBuffer)
	p.busy[c] = struct{}{}
	return c, true, nil
}

func (p *watchers) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	_, good := p.busy[c]
	delete(p.busy, c)
	if !good || p.shut || len(p.idle) >= maxIdleWatchers {
		_ = c.Close()
		return
	}
	p.idle = append(p.idle, c)
}

func (p *watchers) drop(c *conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	delete(p.busy, c)
}

// dropAll closes all connections, because they belong to data that is gone: what is watched counts as touched.
func (p *watchers) dropAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.era++
	for _, c := range p.idle {
		_ = c.Close()
	}
	p.idle = nil
	for c := range p.busy {
		_ = c.Close()
	}
	clear(p.busy)
}

// closeAll is dropAll for good. The Backend is closing.
func (p *watchers) closeAll() {
	p.mu.Lock()
	p.shut = true
	p.mu.Unlock()
	p.dropAll()
}
