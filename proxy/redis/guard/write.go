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
// the next, and up to an eighth more; when it takes none for so long, the connection is closed and
// ErrSlowClient returned. Concurrent calls do not mix.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	c.sizes.unsent.Store(int64(len(p)))
	defer c.sizes.unsent.Store(0)
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

// armWrite sees to it that the next chunk has a deadline. It reports whether that is the
// progress deadline, and not an earlier one set from outside. One that leaves time
// enough stays, as most clients take what is sent at once, and a new one for each
// reply moves a timer.
func (c *Conn) armWrite() (bool, error) {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	now, patience := time.Now(), c.ln.limits.WriteTimeout
	if c.armed.Sub(now) >= patience {
		return true, nil
	}
	t := now.Add(patience + patience/8)
	ours := c.writeDeadline.IsZero() || t.Before(c.writeDeadline)
	if !ours {
		t = c.writeDeadline
	}
	if err := c.inner.SetWriteDeadline(t); err != nil {
		return ours, err
	}
	if ours && c.writeDeadline.IsZero() {
		c.armed = t
	}
	return ours, nil
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
	c.writeDeadline, c.armed = t, time.Time{}
	return c.inner.SetWriteDeadline(t)
}
