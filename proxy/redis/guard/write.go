package guard

import (
	"errors"
	"io"
	"os"
	"time"
)

// writeChunk is how much is written under one deadline.
const writeChunk = 64 << 10

// Write sends p. Every byte the client takes gives it Limits.WriteTimeout for
// the next; when it takes none for so long, the connection is closed and
// ErrSlowClient returned. Concurrent calls do not mix.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	sent := 0
	for sent < len(p) {
		ours, err := c.armWrite()
		if err != nil {
			return sent, err
		}
		n, err := c.inner.Write(p[sent:min(len(p), sent+writeChunk)])
		sent += n
		switch {
		case err == nil && n > 0:
		case err == nil:
			return sent, io.ErrShortWrite
		case !ours || !errors.Is(err, os.ErrDeadlineExceeded):
			return sent, err
		case n == 0:
			_ = c.Close()
			return sent, ErrSlowClient
		}
	}
	return sent, nil
}

// armWrite sets the deadline of the next chunk. It reports whether that is the
// progress deadline, and not an earlier one set from outside.
func (c *Conn) armWrite() (bool, error) {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	t := time.Now().Add(c.ln.limits.WriteTimeout)
	ours := c.writeDeadline.IsZero() || t.Before(c.writeDeadline)
	if !ours {
		t = c.writeDeadline
	}
	return ours, c.inner.SetWriteDeadline(t)
}

// SetDeadline sets the read and the write deadline.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets when a waiting Read gives up. What has arrived by then
// is kept; a later Read goes on with it. While a watcher runs it has no effect
// before stop.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	c.readDeadline = t
	if c.watching {
		return nil
	}
	return c.inner.SetReadDeadline(t)
}

// SetWriteDeadline sets when a Write gives up even though the client reads. The
// timeout for a client that does not read stays in force.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	c.writeDeadline = t
	return c.inner.SetWriteDeadline(t)
}
