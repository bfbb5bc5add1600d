package mysql

import (
	"net"
	"time"
)

// patientChunk is how much a client has to take in the time that it is given.
const patientChunk = 64 << 10

// patient is the connection of a client that may be slow to take what is sent to it, but not stand still: what is meant
// for it holds up the server, and locks there.
type patient struct {
	net.Conn
	patience time.Duration
	deadline time.Time // of writing
}

// SetDeadline sets both, up to the next Write.
func (c *patient) SetDeadline(t time.Time) error {
	c.deadline = time.Time{}
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline sets the one of writing, up to the next Write.
func (c *patient) SetWriteDeadline(t time.Time) error {
	c.deadline = time.Time{}
	return c.Conn.SetWriteDeadline(t)
}

// Write gives up when nothing of a chunk, or too little, was taken for the time of patience, or up to an eighth more: to set
// a new deadline for every answer would cost a timer each.
func (c *patient) Write(p []byte) (written int, err error) {
	for {
		if now := time.Now(); c.deadline.Sub(now) < c.patience {
			c.deadline = now.Add(c.patience + c.patience/8)
			if err := c.Conn.SetWriteDeadline(c.deadline); err != nil {
				return written, err
			}
		}
		n, err := c.Conn.Write(p[:min(len(p), patientChunk)])
		written += n
		if p = p[n:]; err != nil || len(p) == 0 {
			return written, err
		}
	}
}
