package guard

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// watchLimit is how much a watcher reads ahead of the handler.
	watchLimit = 64 << 10
	watchChunk = 512
)

// WatchDisconnect returns a context that ends, with ErrDisconnected as its
// cause, when the client closes or resets the connection. It is for a handler
// that waits: while one runs nobody reads, and so nobody would notice.
//
// What the client sends meanwhile is kept for later Reads, up to 64 KiB; a
// client that sends more is not watched any further. The handler must call
// stop before it returns. Stop ends the watcher, waits for it and ends the
// context; further calls do nothing. One watcher at a time, started and stopped
// by the handler's goroutine, and no Read between the two.
func (c *Conn) WatchDisconnect(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	if c.readErr != nil {
		cancel(ErrDisconnected)
	}
	if c.readErr != nil || len(c.ahead) >= watchLimit {
		return ctx, func() { cancel(context.Canceled) }
	}
	c.startWatch()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c.readErr = c.readAhead(); c.readErr != nil {
			cancel(ErrDisconnected)
		}
	}()
	var once sync.Once
	return ctx, func() {
		once.Do(func() {
			c.interruptWatch()
			<-done
			c.endWatch()
			cancel(context.Canceled)
		})
	}
}

// readAhead reads until it is interrupted, has read enough (nil), or the
// connection ends.
func (c *Conn) readAhead() error {
	empty := 0
	for len(c.ahead) < watchLimit {
		c.ahead = slices.Grow(c.ahead, watchChunk)
		have := len(c.ahead)
		n, err := c.inner.Read(c.ahead[have:min(cap(c.ahead), watchLimit)])
		c.ahead = c.ahead[:have+n]
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		if n > 0 {
			empty = 0
			continue
		}
		if empty++; empty >= maxEmptyReads {
			return io.ErrNoProgress
		}
	}
	return nil
}

// startWatch sets the reader's own deadline aside.
func (c *Conn) startWatch() {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	c.watching = true
	// It fails only on a closed connection, and then reading does too.
	_ = c.inner.SetReadDeadline(time.Time{})
}

// interruptWatch makes the watcher's read return, now or when it is called.
func (c *Conn) interruptWatch() {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	_ = c.inner.SetReadDeadline(time.Unix(1, 0))
}

// endWatch puts the reader's deadline back.
func (c *Conn) endWatch() {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	c.watching = false
	_ = c.inner.SetReadDeadline(c.readDeadline)
}
