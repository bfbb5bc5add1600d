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
}

// Write gives up when nothing of a chunk, or too little, was taken for the time of patience.
func (c *patient) Write(p []byte) (written int, err error) {
	for {
		if err := c.SetWriteDeadline(time.Now().Add(c.patience)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[:min(len(p), patientChunk)])
		written += n
		if p = p[n:]; err != nil || len(p) == 0 {
			return written, err
		}
	}
}
